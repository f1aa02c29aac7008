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
object with a buffer (a NumPy array, a bytearray, a ctypes structure: where it begins;
it has to be contiguous), a ctypes or cffi pointer, or an address. Function and data are
kept alive, and a buffer in its place, until the work has ended; what lies at an address
is yours to keep. Whether C code writes to its data is not known here: into a read-only
buffer, such as bytes, it must not.
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
    Raises at once TypeError if the function is none or visibly has another signature,
    or if there is no pointer to the data; ValueError for a null pointer as function and
    for data that is not contiguous; OverflowError for a number that is no address. Not
    a suspension point. Any thread.
    """
    kept = _Kept(address_of(function), function)
    return _core.spawn(_core._run_native, kept, _pointer(data))


def run(function: object, data: object = None, /) -> None:
    """Run ``function(context, data)`` as part of the present task; wait for its end.

    Raises what `spawn` raises, and a fetch of its task. A suspension point and a
    checkpoint. Any thread.
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
    does; besides ValueError for a negative grain, and OverflowError for numbers of more
    than 64 bits. A suspension point and a checkpoint. Any thread.

    Source: lazy binary splitting, Tzannes, Caragea, Barua and Vishkin, PPoPP 2010.
    """
    _core._run_native_range(
        _checked(function, _RANGE), begin, end, _grain(grain), _pointer(data)
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
    element before the call: 0 for a sum. It is where each part begins. Parts are of
    `grain` indices (0: as `for_range`), or of more if there were more than 65,536 of
    them; they are the leaves of a tree that is cut in halves and are combined along it,
    so that the result depends on the range and the grain alone, never on the number of
    threads. Raises as `for_range` does, and BufferError or TypeError if `result` is
    none; when it has begun and fails, `result` is undefined. A suspension point and a
    checkpoint. Any thread.
    """
    _core._run_native_reduce(
        _checked(fold, _FOLD),
        _checked(combine, _COMBINE),
        begin,
        end,
        _grain(grain),
        _pointer(data),
        result,
    )


def address_of(function: object, /) -> int:
    """Return the address of a native task's function, which is checked like `spawn`'s.

    Raises TypeError if it is none of the kinds above or visibly has another signature,
    ValueError if it is a null pointer, OverflowError if a number is no address. The
    function itself is not kept alive.
    """
    return _checked(function, _TASK)


def _checked(function: object, signature: tuple[str, ...]) -> int:
    address = _address_of(function, signature)
    if address == 0:
        raise ValueError("the native function is a null pointer")
    return address


def _as_address(number: SupportsIndex) -> int:
    address = operator.index(number)
    if not 0 <= address <= sys.maxsize * 2 + 1:
        raise OverflowError(f"{address} is not an address")
    return address


def _address_of(function: object, signature: tuple[str, ...]) -> int:
    if isinstance(function, SupportsIndex) and not isinstance(function, bool):
        return _as_address(function)
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
    # Both are what ctypes assumes as long as nobody has said.
    if function.argtypes is None and function.restype is ctypes.c_int:
        return address, None
    types = (function.restype, *(function.argtypes or ()))
    return address, tuple(map(_ctypes_kind, types))


def _ctypes_kind(kind: Any) -> str:
    import ctypes

    if kind is None:
        return "void"
    is_type = isinstance(kind, type)
    if not is_type:
        return f"whatever {kind!r} makes of an i32"  # a callable as restype
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
    if data is None:
        return None
    is_scalar = _is_scalar(data)
    if is_scalar and isinstance(data, SupportsIndex) and not isinstance(data, bool):
        return _as_address(data)
    if (ctypes := sys.modules.get("ctypes")) is not None and isinstance(
        data, (ctypes._Pointer, ctypes.c_void_p)
    ):
        return _Kept(ctypes.cast(data, ctypes.c_void_p).value or 0, data)
    if "_cffi_backend" in sys.modules:
        ffi = _cffi()
        if isinstance(data, ffi.CData):
            if ffi.typeof(data).kind not in ("pointer", "array"):
                raise TypeError(
                    f"{data!r} is no pointer: use ffi.addressof() for a structure"
                )
            return _Kept(int(ffi.cast("uintptr_t", data)), data)
    try:
        view = memoryview(None if is_scalar else data)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            "data for a native function is None, an object with a buffer (a NumPy "
            "array, a bytearray, a ctypes structure), a ctypes pointer "
            "(ctypes.pointer(x), not byref), a cffi pointer, or an address, not "
            f"'{type(data).__name__}'"
        ) from None
    if not view.c_contiguous:
        raise ValueError("the data is not contiguous, in the order of C")
    return view  # which holds the buffer where it is


def _is_scalar(data: object) -> bool:
    """Tell Python's and NumPy's scalars, which NumPy's lend a copy of as a buffer."""
    numpy = sys.modules.get("numpy")
    return isinstance(data, int) or (
        numpy is not None and isinstance(data, numpy.generic)
    )


class _Kept(int):
    """An address, and the object that keeps what lies there alive."""

    _owner: object

    def __new__(cls, address: int, owner: object) -> _Kept:
        self = super().__new__(cls, address)
        self._owner = owner
        return self


def _grain(grain: int) -> int:
    grain = operator.index(grain)
    if grain < 0:
        raise ValueError(f"grain must be 0 or more, not {grain}")
    return grain
