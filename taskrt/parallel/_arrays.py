"""What is an array, and what all functions on arrays ask of their arguments.

NumPy is optional: it is imported by a function that works on arrays alone, and never by
one that was given something else.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from operator import index
from typing import Any, Protocol, TypeAlias

from taskrt import _core, _kernels
from taskrt.parallel._blocks import run_blocks

# A numpy.ndarray. The package is complete without the types of NumPy.
Array: TypeAlias = Any
DType: TypeAlias = Any


class ArrayLike(Protocol):
    """What a type checker takes for an array, and a list or a memoryview is not."""

    @property
    def dtype(self) -> Any: ...
    @property
    def ndim(self) -> int: ...
    def __array__(self) -> Any: ...


# Up to here other threads do not help: one takes its time to wake, and what it works on
# has to come to its cache. In bytes read and written, from measurements.
SERIAL_BYTES = 1 << 18
# Bytes of a block: it stays in the cache of its core between two passes.
BLOCK_BYTES = 1 << 18


def is_array(x: object) -> bool:
    """Return whether `x` is a NumPy array; import nothing to find out."""
    numpy = sys.modules.get("numpy")
    # Not there yet while another thread imports it: then nobody has an array.
    kind = getattr(numpy, "ndarray", None)
    return kind is not None and isinstance(x, kind)


def is_ufunc(op: object) -> bool:
    """Return whether `op` is a ufunc; import nothing to find out."""
    kind = getattr(sys.modules.get("numpy"), "ufunc", None)
    return kind is not None and isinstance(op, kind)


def import_numpy(who: str) -> Any:
    """Return NumPy; raise ModuleNotFoundError if it is not installed."""
    try:
        return import_module("numpy")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{who} works on NumPy arrays, and NumPy is not installed: "
            "python -m pip install numpy",
            name="numpy",
        ) from error


def as_array(who: str, name: str, x: object) -> Array:
    """Return `x`, an array or what NumPy makes one of, as a plain array."""
    numpy = import_numpy(who)
    if isinstance(x, numpy.ma.MaskedArray):
        raise TypeError(
            f"{who}: {name} is a masked array, and the mask would be lost; hand over "
            "its compressed(), or its filled() copy"
        )
    return numpy.asarray(x)


def is_scalar_axis(axis: int, array: Array) -> bool:
    """Return whether it is an axis of an array that has none, as NumPy has it."""
    return array.ndim == 0 and index(axis) in (0, -1)


def as_axis(axis: int, array: Array) -> int:
    """Return the axis counted from the first; AxisError if there is none."""
    axis = index(axis)
    if not -array.ndim <= axis < array.ndim:
        raise import_module("numpy").exceptions.AxisError(axis, array.ndim)
    return axis % int(array.ndim)


def check_out(who: str, out: Any, shape: tuple[int, ...], dtype: DType) -> None:
    """Raise what is wrong with an array to write results of that shape and type to."""
    check_writable(who, out)
    if out.shape != shape:
        raise ValueError(
            f"{who}: out has the shape {out.shape}, and the result has {shape}"
        )
    if out.dtype != dtype:
        raise TypeError(
            f"{who}: out has the dtype {out.dtype}, and the result has {dtype}"
        )


def check_writable(who: str, out: Any) -> None:
    """Raise TypeError if `out` is no array, ValueError if it cannot be written to."""
    if not is_array(out) or isinstance(out, import_module("numpy").ma.MaskedArray):
        raise TypeError(f"{who}: out must be a NumPy array, not {type(out).__name__!r}")
    if not out.flags.writeable:
        raise ValueError(f"{who}: out is read-only; hand over a copy")
    if out.size and any(
        step == 0 and length > 1
        for step, length in zip(out.strides, out.shape, strict=True)
    ):
        raise ValueError(
            f"{who}: several items of out are at one place in memory (its strides are "
            f"{out.strides}); hand over a copy"
        )


def check_apart(who: str, out: Array, name: str, source: Array) -> None:
    """Raise ValueError if `out` overlaps `source` in memory, or nobody can tell."""
    numpy = import_module("numpy")
    try:
        overlap = numpy.shares_memory(out, source, max_work=10_000)
    except numpy.exceptions.TooHardError:
        overlap = True
    if overlap:
        raise ValueError(f"{who}: out overlaps {name} in memory; hand over a copy")


def is_same(a: Array, b: Array) -> bool:
    """Return whether two arrays of one type are the same items of memory."""
    return bool(
        a.shape == b.shape
        and a.strides == b.strides
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


def has_kernel(dtype: DType) -> bool:
    """Return whether our kernels work on such numbers, in this byte order."""
    return bool(
        dtype.isnative
        and (
            (dtype.kind in "iu" and dtype.itemsize <= 8)
            or (dtype.kind == "f" and dtype.itemsize in (4, 8))
        )
    )


def native(dtype: DType) -> DType:
    """Return the type in this machine's byte order."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def needs_python(dtype: DType) -> bool:
    """Return whether NumPy compares and copies such items with Python's objects."""
    return bool(dtype.hasobject or dtype.names is not None or dtype.kind == "T")


def shares_work(dtype: DType) -> bool:
    """Return whether several threads at once sort such items faster than one.

    Without a GIL, objects are compared by all threads. Not so records and strings of
    variable width: each comparison counts references to, or locks, what all share.
    """
    return not needs_python(dtype) or (dtype.kind == "O" and not _gil_is_on())


def _gil_is_on() -> bool:
    ask: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return ask()


def is_plain(array: Array) -> bool:
    """Return whether our kernels can work on the memory of a 1-d array as it is."""
    return bool(array.flags.c_contiguous and array.flags.aligned)


def longest_axis(shape: tuple[int, ...]) -> int:
    """Return which axis gives the most blocks."""
    return max(range(len(shape)), key=shape.__getitem__)


def cut(axis: int, low: int, high: int) -> tuple[slice, ...]:
    """Return the index of the items low to high along one axis."""
    return (*(slice(None),) * axis, slice(low, high))


def rows_of_block(array: Array, axis: int, size: int = BLOCK_BYTES) -> int:
    """Return how many indices of an axis make a block of about so many bytes."""
    each = array.nbytes // max(1, array.shape[axis])
    return max(1, int(size // max(1, each)))


def copy_blocks(source: Array, target: Array) -> None:
    """Copy one array to another of its shape, converting, in parallel.

    The two do not overlap, or are the same. A suspension point if they are long.
    """
    if source.nbytes <= SERIAL_BYTES or source.ndim == 0:
        target[...] = source
        return
    if (
        source.ndim == 1
        and source.dtype == target.dtype
        and has_kernel(source.dtype)
        and source.flags.aligned
        and target.flags.aligned
    ):
        _kernels.copy(source, target)
        return
    axis = longest_axis(source.shape)

    def copy(low: int, high: int) -> None:
        here = cut(axis, low, high)
        target[here] = source[here]

    run_blocks(source.shape[axis], copy, grain=rows_of_block(source, axis))


def workers() -> int:
    """Return how many threads run tasks."""
    return _core.num_threads()
