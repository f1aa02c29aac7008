"""What the type checkers must say of native tasks. Checked, never run."""

from typing import Any, assert_type

from taskrt import Task, fetch, native, native_numba

address = 0x1000
data = bytearray(8)

assert_type(native.spawn(address), Task[None])
assert_type(fetch(native.spawn(address, data)), None)
assert_type(native.address_of(address), int)
assert_type(native.NativeError(3).status, int)
native.run(address)
native.run(address, data)
native.for_range(address, 0, 10, data, grain=2)
native.reduce(address, address, 0, 10, data, None, grain=2)
native.spawn()  # type: ignore[call-arg]
native.run(function=address)  # type: ignore[call-arg]
native.for_range(address, 0, "10")  # type: ignore[arg-type]
native.for_range(address, 0, 10, data, 2)  # type: ignore[call-arg]
native.reduce(address, address, 0, 10)  # type: ignore[call-arg]


def double(context: object, n: int) -> int:
    return 2 * n


# What Numba compiles has no types; its results can be anything.
assert_type(native_numba.run(double, 3), Any)
assert_type(native_numba.spawn(None, double, 3), Any)
assert_type(native_numba.join(None, None), Any)
assert_type(native_numba.cancelled(None), bool)
native_numba.run(3)  # type: ignore[arg-type]
native_numba.run(function=double)  # type: ignore[call-arg]
native_numba.join(None)  # type: ignore[call-arg]
native_numba.cancelled()  # type: ignore[call-arg]
