"""Sorting arrays of any type and shape, in parallel, in the order of NumPy's sorts.

Numbers, dates and spans of time are sorted by our kernel, and text as numbers as far as
that goes. Of anything else, long runs are sorted by merging: parts of equal length by
NumPy, then rounds of merges, each of which is cut into pieces for all threads. Short
runs, such as the rows of a matrix, are sorted by NumPy, block by block. All of that is
stable, so that the number of threads changes nothing.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module

from taskrt.parallel._array_argsort import check_kind, nans_last, order_of, take_along
from taskrt.parallel._array_merge import comparison, merge_piece
from taskrt.parallel._array_numbers import number_type, sort_numbers, sort_rows
from taskrt.parallel._array_rows import merge_sort, work_on_runs
from taskrt.parallel._array_text import sort_text
from taskrt.parallel._arrays import (
    Array,
    DType,
    as_array,
    as_axis,
    check_apart,
    check_out,
    copy_blocks,
    is_plain,
    is_same,
    needs_python,
)

Key = Callable[[Array], Array]


def sort_array(
    a: Array,
    axis: int | None = -1,
    *,
    kind: str | None = None,
    key: Key | None = None,
    reverse: bool = False,
    out: Array | None = None,
) -> Array:
    """Sort an array along an axis; what `sort` does with arrays."""
    array = as_array("sort()", "a", a)
    check_kind("sort()", kind)
    if axis is None:
        array, axis = array.reshape(-1), -1
    axis = as_axis(axis, array)
    target = _target(array, out)
    if key is None:
        _sort_along(array, target, axis, reverse=reverse)
    else:
        order = order_of(_keys_of(key, array), axis, reverse=reverse)
        source = array.copy() if is_same(array, target) else array
        take_along(source, order, target, axis)
    return target if out is None else out


def _target(array: Array, out: Array | None) -> Array:
    """Return where to write the items of `array`, sorted."""
    numpy = import_module("numpy")
    if out is None:
        return numpy.empty_like(array)
    check_out("sort()", out, array.shape, array.dtype)
    if not is_same(array, out):
        check_apart("sort()", out, "a", array)
    return numpy.asarray(out)


def _keys_of(key: Key, array: Array) -> Array:
    keys = as_array("sort()", "what key returned", key(array))
    if keys.shape != array.shape:
        raise ValueError(
            f"sort(): key must return an array of the shape of its argument, "
            f"{array.shape}, and has returned one of {keys.shape}: it is called once "
            "with the whole array, not with each item"
        )
    return keys


def _sort_along(array: Array, target: Array, axis: int, *, reverse: bool) -> None:
    numpy = import_module("numpy")
    a, b = numpy.moveaxis(array, axis, -1), numpy.moveaxis(target, axis, -1)
    if a.size == 0:
        return
    if number_type(b.dtype):
        _sort_numbers(a, b, reverse=reverse)
        return
    if reverse:
        # From the end, what is equal keeps its order.
        a, b = a[..., ::-1], b[..., ::-1]
    work_on_runs(a, b, _sort_run, _sort_block)
    if reverse and b.dtype.kind in "fc":
        nans_last(b[..., ::-1], b[..., ::-1])


def _sort_numbers(a: Array, b: Array, *, reverse: bool) -> None:
    if b.dtype.kind in "iuf" and b.itemsize in (4, 8):

        def sort_run(a: Array, b: Array, parts: int) -> None:
            sort_numbers(a, b, reverse=reverse)

        work_on_runs(a, b, sort_run, partial(sort_rows, reverse=reverse))
    else:
        sort_numbers(a, b, reverse=reverse)


def _kind(dtype: DType) -> str | None:
    """Return the kind of NumPy's sort to use: its default where equals are the same."""
    return None if dtype.kind in "SU" else "stable"


def _sort_block(a: Array, b: Array) -> None:
    if b.strides[-1] == b.itemsize and not needs_python(b.dtype):
        if not is_same(a, b):
            b[...] = a
        b.sort(axis=-1, kind=_kind(b.dtype))
    else:
        # Side by side in memory. Also, what fails has changed nothing.
        rows = a.copy(order="C")
        rows.sort(axis=-1, kind=_kind(b.dtype))
        b[...] = rows


def _sort_run(a: Array, b: Array, parts: int) -> None:
    if b.dtype.kind in "SU" and b.itemsize:
        sort_text(a, b)
        return
    if parts == 1:
        _sort_block(a, b)
        return
    numpy = import_module("numpy")
    in_place = is_plain(b) and not needs_python(b.dtype)
    final = b if in_place else numpy.empty(len(b), b.dtype)
    other = numpy.empty(len(b), b.dtype)
    kind = _kind(b.dtype)

    def sort_part(low: int, high: int, target: Array) -> None:
        if not is_same(a[low:high], target):
            target[:] = a[low:high]
        target.sort(kind=kind)

    merge_sort((final, other), parts, sort_part, comparison, merge_piece)
    if final is not b:
        copy_blocks(final, b)
