"""The indices that sort an array, in parallel and stable; and taking items by them."""

from importlib import import_module

from taskrt.parallel._array_merge import Before, comparison
from taskrt.parallel._array_numbers import argsort_numbers, number_type
from taskrt.parallel._array_rows import BLOCK, merge_sort, work_on_runs
from taskrt.parallel._array_text import argsort_text
from taskrt.parallel._arrays import (
    Array,
    as_array,
    as_axis,
    copy_blocks,
    cut,
    is_scalar_axis,
    longest_axis,
)
from taskrt.parallel._blocks import run_blocks

KINDS = (None, "quicksort", "heapsort", "mergesort", "stable")


def argsort(a: Array, axis: int | None = -1, *, kind: str | None = None) -> Array:
    """Return the indices that sort an array along an axis.

    They are those of ``numpy.argsort(a, axis, kind="stable")``: the indices of items
    that are equal, also of NaNs and NaTs, which come last, are in increasing order.

    a     an array of any type and shape, or what `numpy.asarray` makes one of
    axis  the axis along which to sort, the last one by default; None: all items, as if
          they were in one row
    kind  a name that `numpy.sort` knows, or None; all of them mean a stable sort

    Returns an array of the shape of `a`, of one dimension if `axis` is None, and of the
    type `numpy.intp`. Raises ModuleNotFoundError without NumPy, its AxisError if there
    is no such axis, TypeError and ValueError for what is no kind, and what comparing
    two objects raises. Long arrays are a suspension point and a checkpoint; any thread.

    >>> import numpy as np
    >>> from taskrt import parallel
    >>> parallel.argsort(np.array([30, 10, 20, 10]))
    array([1, 3, 2, 0])
    """
    keys = as_array("argsort()", "a", a)
    check_kind("argsort()", kind)
    if axis is None or is_scalar_axis(axis, keys):
        keys, axis = keys.reshape(-1), -1
    axis = as_axis(axis, keys)
    return order_of(keys, axis, reverse=False)


def check_kind(who: str, kind: str | None) -> None:
    """Raise what is wrong with the kind of a sort. All kinds mean a stable one."""
    if kind is not None and not isinstance(kind, str):
        raise TypeError(
            f"{who}: kind must be a string or None, not {type(kind).__name__!r}"
        )
    if kind not in KINDS:
        names = ", ".join(repr(name) for name in KINDS[1:])
        raise ValueError(f"{who}: kind must be one of {names} or None, not {kind!r}")


def order_of(keys: Array, axis: int, *, reverse: bool) -> Array:
    """Return the indices that sort `keys` along an axis.

    In reverse, what is equal keeps its order, and NaN and NaT come last, too.
    """
    numpy = import_module("numpy")
    order = numpy.empty(keys.shape, numpy.intp)
    source, target = numpy.moveaxis(keys, axis, -1), numpy.moveaxis(order, axis, -1)
    if order.size == 0:
        return order
    if number_type(keys.dtype):
        argsort_numbers(source, target, reverse=reverse)
        return order
    if reverse:
        source, target = source[..., ::-1], target[..., ::-1]
    work_on_runs(source, target, _argsort_run, _argsort_block)
    if reverse:
        numpy.subtract(keys.shape[axis] - 1, order, out=order)
        if keys.dtype.kind in "fc":
            target = target[..., ::-1]
            sorted_keys = numpy.take_along_axis(source[..., ::-1], target, -1)
            nans_last(sorted_keys, target)
    return order


def nans_last(keys: Array, rows: Array) -> None:
    """Move what belongs to a NaN among the keys to the end of its row."""
    numpy = import_module("numpy")
    nans = numpy.isnan(keys)
    if nans.any():
        order = nans.argsort(axis=-1, kind="stable")
        rows[...] = numpy.take_along_axis(rows, order, -1)


def _argsort_block(keys: Array, order: Array) -> None:
    order[...] = keys.argsort(axis=-1, kind="stable")


def _argsort_run(keys: Array, order: Array, parts: int) -> None:
    numpy = import_module("numpy")
    if keys.dtype.kind in "SU" and keys.itemsize:
        copy_blocks(argsort_text(keys), order)
        return
    if parts == 1:
        _argsort_block(keys, order)
        return
    keys = numpy.require(keys, requirements="CA")
    final, other = (
        numpy.empty(len(keys), numpy.intp),
        numpy.empty(len(keys), numpy.intp),
    )

    def sort_part(low: int, high: int, target: Array) -> None:
        numpy.add(keys[low:high].argsort(kind="stable"), low, out=target)

    def before(left: Array, right: Array) -> Before:
        return comparison(left, right, keys)

    def merge_piece(left: Array, right: Array, out: Array) -> None:
        both = numpy.concatenate((left, right))
        if len(left) and len(right):
            both = both.take(keys.take(both).argsort(kind="stable"))
        out[:] = both

    merge_sort((final, other), parts, sort_part, before, merge_piece)
    copy_blocks(final, order)


def take_along(source: Array, order: Array, target: Array, axis: int) -> None:
    """Write the items of `source` in that order along an axis to `target`, apart."""
    numpy = import_module("numpy")
    if source.ndim == 1:

        def take(low: int, high: int) -> None:
            target[low:high] = source[order[low:high]]

        run_blocks(len(source), take, grain=BLOCK)
        return
    outer = [n if k != axis else 0 for k, n in enumerate(source.shape)]
    along = longest_axis(tuple(outer))

    def take_rows(low: int, high: int) -> None:
        here = cut(along, low, high)
        target[here] = numpy.take_along_axis(source[here], order[here], axis)

    each = max(1, source.size // max(1, outer[along]))
    run_blocks(outer[along], take_rows, grain=max(1, BLOCK // each))
