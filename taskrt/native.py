"""Native tasks: C functions that need no interpreter, on the same pool.

A native task is a C function ``int32_t fn(trt_context *, void *)``; with
``taskrt_native.h`` (see `taskrt.get_include`) it spawns and joins children of its own
in nanoseconds. While one runs, its thread is detached from Python. A *function* here is
any of

* a cffi function pointer (``ffi.addressof(lib, "fn")``),
* a ctypes function (``library.fn``) or function pointer,
* what ``numba.cfunc`` makes,
* an integer: its address.

*data*, which the function gets as its last argument, is None for a null pointer, an
object with a buffer (a NumPy array, a bytearray, a ctypes structure: where it begins,
kept alive and in place meanwhile; it has to be contiguous), a ctypes or cffi pointer,
or an address.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from taskrt import _core
from taskrt.errors import NativeError

if TYPE_CHECKING:
    from taskrt._core import Task

__all__ = [
    "NativeError",
    "address_of",
    "for_range",
    "reduce",
    "run",
    "spawn",
]

# Result and arguments of each kind of function, as sizes in bits of integers and "p".
_TASK: Final = ("i32", "p", "p")
_RANGE: Final = ("i32", "p", "i64", "i64", "p")
_FOLD: Final = ("i32", "p", "i64", "i64", "p", "p")
_COMBINE: Final = ("void", "p", "p", "p")


def spawn(function: object, data: object = None, /) -> Task[None]:
    """Run ``function(context, data)`` in a new task; return the Task at once.

    Its result is None. A fetch raises `NativeError` if the function returned another
    status than 0, MemoryError, RecursionError or RuntimeError for those that
    ``taskrt_native.h`` names so, and whatever a Python function raised that it called.
    Raises TypeError or ValueError at once if the function cannot be one, or the data
    cannot be had a pointer to. Not a suspension point.
    """
    return _core.spawn(_core._run_native, address_of(function), _pointer(data))


def run(function: object, data: object = None, /) -> None:
    """Run ``function(context, data)`` as part of the present task; wait for its end.

    Raises what a fetch of `spawn` raises. A suspension point and a checkpoint.
    """
    _core._run_native(address_of(function), _pointer(data))


def for_range(
    function: object,
    begin: int,
    end: int,
    data: object = None,
    *,
    grain: int = 0,
) -> None:
    """Call `function` for parts of the range from `begin` to before `end`; wait.

    `function` is ``int32_t fn(trt_context *, int64_t begin, int64_t end, void *)``. It
    gets parts of at most `grain` indices; 0 makes about 100 parts, or the square root
    of the length if that is more. The range is split when other threads have nothing to
    do. When a part fails, parts that have not begun do not, and this raises as `run`
    does. A suspension point and a checkpoint.

    Source: lazy binary splitting, Tzannes, Caragea, Barua and Vishkin, PPoPP 2010.
    """
    _core._run_native_range(
        address_of(function, _RANGE), begin, end, _grain(grain), _pointer(data)
    )


def reduce(
    fold: object,
    combine: object,
    begin: int,
    end: int,
    result: object,
    data: object = None,
    *,
    grain: int = 0,
) -> None:
    """Reduce the range from `begin` to before `end` into the buffer `result`; wait.

    `fold` is ``int32_t fn(trt_context *, int64_t begin, int64_t end, void *acc,
    void *data)`` and adds what a part of the range contributes to an accumulator;
    `combine` is ``void fn(void *acc, const void *after, void *data)``. `result`, a
    writable contiguous buffer, has the size of an accumulator and holds the neutral
    element before the call. Parts are of `grain` indices (0: as `for_range`), and
    are combined from left to right, so that the result depends on the range and the
    grain alone, never on the number of threads. Raises as `run` does; then `result` is
    undefined. A suspension point and a checkpoint.
    """
    _core._run_native_reduce(
        address_of(fold, _FOLD),
        address_of(combine, _COMBINE),
        begin,
        end,
        _grain(grain),
        _pointer(data),
        result,
    )


def address_of(function: object, signature: tuple[str, ...] = _TASK) -> int:
    """Return the address of a native function, having checked what can be known of it.

    Raises TypeError if it is none of the kinds above or visibly has another signature,
    ValueError if it is a null pointer.
    """
    address = _address_of(function, signature)
    if address == 0:
        raise ValueError("the native function is a null pointer")
    return address


def _address_of(function: object, signature: tuple[str, ...]) -> int:
    if isinstance(function, SupportsIndex) and not isinstance(function, bool):
        return operator.index(function)
    for module, read in _READERS.items():
        # Who has such a function has imported its module.
        if module in sys.modules and (found := read(function)) is not None:
            address, known = found
            _check_signature(function, known, signature)
            return address
    raise TypeError(
        "a native function is a cffi function pointer (ffi.addressof(lib, 'name')), a "
        "ctypes function, a numba.cfunc, or an address, not "
        f"'{type(function).__name__}'"
    )


def _check_signature(
    function: object, known: tuple[str, ...] | None, wanted: tuple[str, ...]
) -> None:
    if known is None or known == wanted:
        return
    shown = [f"{kinds[0]} ({', '.join(kinds[1:])})" for kinds in (wanted, known)]
    raise TypeError(
        f"a native function of the signature {shown[0]} is needed here, in which p is "
        f"a pointer, and {function!r} has {shown[1]}"
    )


_Found = tuple[int, tuple[str, ...] | None] | None


@functools.cache
def _cffi() -> Any:
    """Return what reads cffi's pointers, whichever module they come from."""
    return sys.modules["_cffi_backend"].FFI()


def _read_cffi(function: Any) -> _Found:
    ffi = _cffi()
    if not isinstance(function, ffi.CData):
        return None
    kind = ffi.typeof(function)
    if kind.kind != "function":
        raise TypeError(f"{function!r} is no function pointer")
    types = (kind.result, *kind.args)
    return int(ffi.cast("uintptr_t", function)), tuple(map(_cffi_kind, types))


def _cffi_kind(kind: Any) -> str:
    if kind.kind in ("pointer", "function"):
        return "p"
    is_number = kind.kind in ("primitive", "enum")
    if is_number and not any(word in kind.cname for word in ("float", "double")):
        return f"i{8 * _cffi().sizeof(kind)}"
    return str(kind.cname)


def _read_ctypes(function: Any) -> _Found:
    import ctypes

    if not isinstance(function, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        return None
    address = ctypes.cast(function, ctypes.c_void_p).value or 0
    if function.argtypes is None:
        return address, None  # nobody has said
    types = (function.restype, *function.argtypes)
    return address, tuple(map(_ctypes_kind, types))


def _ctypes_kind(kind: Any) -> str:
    import ctypes

    if kind is None:
        return "void"
    if issubclass(kind, ctypes._Pointer) or kind in (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.py_object,
    ):
        return "p"
    if issubclass(kind, ctypes._SimpleCData) and kind._type_ in "bBhHiIlLqQ":
        return f"i{8 * ctypes.sizeof(kind)}"
    return str(kind.__name__)


def _read_numba(function: Any) -> _Found:
    from numba.core.ccallback import CFunc

    if not isinstance(function, CFunc):
        return None
    from numba.core import types

    def kind_of(kind: Any) -> str:
        if kind == types.void or kind == types.none:
            return "void"
        if kind == types.voidptr or isinstance(kind, types.CPointer):
            return "p"
        if isinstance(kind, types.Integer):
            return f"i{kind.bitwidth}"
        return str(kind)

    signature = function._sig
    kinds = (signature.return_type, *signature.args)
    return function.address, tuple(map(kind_of, kinds))


_READERS: Final[dict[str, Callable[[Any], _Found]]] = {
    "ctypes": _read_ctypes,
    "_cffi_backend": _read_cffi,
    "numba": _read_numba,
}


def _pointer(data: object) -> object:
    """Return what the core takes: None, an address, or an object with a buffer."""
    if data is None or (isinstance(data, int) and not isinstance(data, bool)):
        return data
    if (ctypes := sys.modules.get("ctypes")) is not None and isinstance(
        data, (ctypes._Pointer, ctypes.c_void_p)
    ):
        return _Kept(ctypes.cast(data, ctypes.c_void_p).value or 0, data)
    if "_cffi_backend" in sys.modules:
        ffi = _cffi()
        if isinstance(data, ffi.CData):
            if ffi.typeof(data).kind not in ("pointer", "array"):
                raise TypeError(f"{data!r} is no pointer")
            return _Kept(int(ffi.cast("uintptr_t", data)), data)
    with memoryview(data) as view:  # type: ignore[arg-type]
        if not view.c_contiguous:
            raise ValueError("the data is not contiguous, in the order of C")
    return data


class _Kept(int):
    """An address, and the object that keeps what lies there alive."""

    _owner: object

    def __new__(cls, address: int, owner: object) -> _Kept:
        self = super().__new__(cls, address)
        self._owner = owner
        return self


def _grain(grain: int) -> int:
    if grain < 0:
        raise ValueError(f"grain must be 0 or more, not {grain}")
    return grain
