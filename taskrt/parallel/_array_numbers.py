"""Arrays that our kernels can sort: numbers, and what is ordered as numbers are.

bool              as bytes
float16           as float32, which holds each of them
dates and spans   as the integers that they are; NaT is the least of these and comes
                  last, so one is taken from all: the least becomes the greatest
"""

from importlib import import_module

from taskrt import _kernels
from taskrt.parallel._arrays import (
    Array,
    DType,
    copy_blocks,
    has_kernel,
    is_plain,
    is_same,
    native,
)
from taskrt.parallel._blocks import run_blocks

BLOCK = 1 << 15  # items


def number_type(dtype: DType) -> str | None:
    """Return as which numbers such items are sorted; None if they are not."""
    if has_kernel(native(dtype)):
        return str(native(dtype).str)
    if dtype.kind == "b":
        return "u1"
    if dtype.kind in "mM":
        return "i8"
    return "f4" if _is_half(dtype) else None


def sort_numbers(source: Array, target: Array, *, reverse: bool) -> None:
    """Sort along the last axis into `target`, which is apart from `source` or the same.

    The sort is stable, and NaN and NaT come last, in reverse too.
    """
    numbers = _view(target)
    if numbers is None:
        numbers = import_module("numpy").empty(target.shape, number_type(target.dtype))
    items = _items(numbers, target.dtype)
    if not is_same(source, items):
        copy_blocks(source, items)
    shifts = target.dtype.kind in "mM" and not reverse
    if shifts:
        _shift(numbers, -1)
    _kernels.sort(numbers, reverse=reverse)
    if shifts:
        _shift(numbers, 1)
    if not is_same(items, target):
        copy_blocks(items, target)


def sort_rows(source: Array, target: Array, *, reverse: bool) -> None:
    """Sort short rows of numbers, on this thread, as `sort_numbers` would.

    NumPy's default sort is the fastest there. Only of zeros with signs and of NaNs can
    be seen that it is not stable.
    """
    rows = source.astype(native(source.dtype), order="C")
    if _are_alike(rows):
        rows.sort(axis=-1)
        target[...] = rows[..., ::-1] if reverse else rows
    else:
        _kernels.sort(rows, reverse=reverse)
        target[...] = rows


def _are_alike(numbers: Array) -> bool:
    """Return whether all that are equal have the same bits, and none is NaN."""
    if numbers.dtype.kind in "iu" or numbers.min() > 0:
        return True
    numpy = import_module("numpy")
    signed = (numbers == 0) & numpy.signbit(numbers)
    return not (signed.any() or numpy.isnan(numbers).any())


def argsort_numbers(keys: Array, order: Array, *, reverse: bool) -> None:
    """Write to `order` the indices that sort `keys` along the last axis."""
    numpy = import_module("numpy")
    shifts = keys.dtype.kind in "mM" and not reverse
    numbers = None if shifts else _view(keys)
    if numbers is None:
        numbers = numpy.empty(keys.shape, number_type(keys.dtype))
        copy_blocks(keys, _items(numbers, keys.dtype))
    if shifts:
        _shift(numbers, -1)
    found = order
    if not (is_plain(order) and order.itemsize == 8):
        found = numpy.empty(order.shape, numpy.int64)
    _kernels.argsort(numbers, found, reverse=reverse)
    if found is not order:
        copy_blocks(found, order)


def _view(array: Array) -> Array | None:
    """Return the numbers in the memory of the array, if kernels can use it."""
    wanted = number_type(array.dtype)
    if not (is_plain(array) and array.dtype.isnative) or _is_half(array.dtype):
        return None
    return array.view(wanted)


def _items(numbers: Array, dtype: DType) -> Array:
    """Return the same memory as items of the type whose numbers they are."""
    return numbers if _is_half(dtype) else numbers.view(native(dtype))


def _is_half(dtype: DType) -> bool:
    """Return whether it is float16, in whichever byte order."""
    return bool(dtype.kind == "f" and dtype.itemsize == 2)


def _shift(numbers: Array, by: int) -> None:
    """Add to all integers, which wrap around."""
    row = numbers.reshape(-1)

    def shift(low: int, high: int) -> None:
        row[low:high] += by

    run_blocks(len(row), shift, grain=BLOCK)
