"""Merging sorted arrays, in parallel, in the order of NumPy's sorts.

A merge is cut along the merge path: the outcome into pieces of one length, and each run
where its part of the piece begins. Then all pieces are merged at once. Numbers are
merged by our kernel. A piece of anything else is put together from its two parts and
sorted by NumPy's stable sort, which is a timsort: it finds the two runs and merges
them. So the order is NumPy's own, whatever the type.

Source: merge path, Odeh, Green, Mwassi, Shmueli and Birk, IPDPS Workshops 2012.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TypeAlias

from taskrt import _kernels
from taskrt.parallel._arrays import (
    Array,
    DType,
    as_array,
    check_apart,
    check_out,
    copy_blocks,
    has_kernel,
    is_plain,
    native,
    needs_python,
    shares_work,
    workers,
)
from taskrt.parallel._blocks import run_blocks

Piece: TypeAlias = tuple[Array, Array, Array]  # of a merge: two parts, their place
MergePiece: TypeAlias = Callable[[Array, Array, Array], None]
Before: TypeAlias = Callable[[int, int], bool]

PIECE = 1 << 14  # items at least, in a piece that NumPy merges


def merge(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """Merge two sorted arrays into one.

    The merge is stable: of items that are equal, those of `a` come first, and those of
    each keep their order. NaN and NaT come last, as in `numpy.sort`.

    a    sorted as by `numpy.sort`, of one dimension: an array, or what `numpy.asarray`
         makes one of
    b    another one, which may have another type
    out  where the result is to go: an array that has room for exactly both and the type
         of the result, and overlaps neither; None: a new one

    Returns `out`, or a new array, of the type of ``numpy.concatenate((a, b))``. Its
    order is not specified unless both were sorted. Raises ModuleNotFoundError without
    NumPy; TypeError if no type is common to both, or `out` has another; ValueError if
    an array has not one dimension, or `out` has another length, overlaps an input or is
    read-only; what comparing two objects raises. Long arrays are a suspension point and
    a checkpoint; a merge that is cancelled or fails leaves `out` unfinished. Any
    thread. Source: merge path, Odeh, Green, Mwassi, Shmueli and Birk, IPDPS Workshops
    2012.

    >>> import numpy as np
    >>> from taskrt import parallel
    >>> parallel.merge(np.array([1, 3, 5]), np.array([2.5, 3.0]))
    array([1. , 2.5, 3. , 3. , 5. ])
    """
    left, right = as_array("merge()", "a", a), as_array("merge()", "b", b)
    numpy = import_module("numpy")
    for name, array in (("a", left), ("b", right)):
        if array.ndim != 1:
            raise ValueError(
                f"merge(): {name} must have one dimension, and has the shape "
                f"{array.shape}"
            )
    # The type and its byte order are those of concatenate, also of strings.
    dtype = numpy.concatenate((left[:0], right[:0])).dtype
    length = len(left) + len(right)
    if out is None:
        out = numpy.empty(length, dtype)
    else:
        check_out("merge()", out, (length,), dtype)
        check_apart("merge()", out, "a", left)
        check_apart("merge()", out, "b", right)
    left, right = left.astype(dtype, copy=False), right.astype(dtype, copy=False)
    if dtype.kind in "mM":
        _merge_times(left, right, out)
    elif has_kernel(dtype):
        _merge_numbers(left, right, out)
    else:
        _merge_items(left, right, out)
    return out


def _merge_numbers(left: Array, right: Array, out: Array) -> None:
    numpy = import_module("numpy")
    left, right = (numpy.require(run, requirements="CA") for run in (left, right))
    if is_plain(out):
        _kernels.merge(left, right, out)
    else:
        merged = numpy.empty(len(out), out.dtype)
        _kernels.merge(left, right, merged)
        copy_blocks(merged, out)


def _merge_times(left: Array, right: Array, out: Array) -> None:
    """Merge dates or spans of time: as integers, but NaT, the least of these, last."""
    numpy = import_module("numpy")
    dtype = native(out.dtype)
    nat = numpy.array("NaT", dtype)
    left, right = (
        numpy.require(run, dtype, "CA").view("i8")[: numpy.searchsorted(run, nat)]
        for run in (left, right)
    )
    merged = numpy.empty(len(left) + len(right), "i8")
    _merge_numbers(left, right, merged)
    copy_blocks(merged.view(dtype), out[: len(merged)])
    out[len(merged) :] = nat


def _merge_items(left: Array, right: Array, out: Array) -> None:
    target = out
    if needs_python(out.dtype):  # a comparison that fails then changes nothing
        target = import_module("numpy").empty(len(out), out.dtype)
    size = piece_size(len(out), out.dtype)
    before = comparison(left, right)
    merge_pieces(list(cut_merge(left, right, target, size, before)), merge_piece)
    if target is not out:
        out[...] = target


def merge_pieces(pieces: list[Piece], merge_piece: MergePiece) -> None:
    """Merge pieces that `cut_merge` has made, all at once."""

    def merge_some(low: int, high: int) -> None:
        for piece in pieces[low:high]:
            merge_piece(*piece)

    run_blocks(len(pieces), merge_some, grain=1)


def merge_piece(left: Array, right: Array, out: Array) -> None:
    """Merge two runs of any type on this thread, in NumPy's order."""
    out[: len(left)] = left
    out[len(left) :] = right
    if len(left) and len(right):
        out.sort(kind="stable")


def piece_size(length: int, dtype: DType) -> int:
    """Return how many items a piece of a merge of so many is to have."""
    if not shares_work(dtype):
        return max(1, length)
    return max(PIECE, -(-length // (4 * workers())))


def cut_merge(
    left: Array, right: Array, out: Array, size: int, before: Before
) -> Iterator[Piece]:
    """Cut a merge into pieces of so many items, the last one of fewer.

    Runs that are not sorted are cut somewhere, into pieces that fit together all the
    same.
    """
    i = j = 0
    for begin in range(0, len(out), size):
        end = min(begin + size, len(out))
        # As many of the left run as come before what the right one then gives.
        low, high = max(i, end - len(right)), min(len(left), i + end - begin)
        stop = bisect_left(_Steps(before, end), x=True, lo=low, hi=high)
        yield left[i:stop], right[j : end - stop], out[begin:end]
        i, j = stop, end - stop


class _Steps:
    """Item k: whether the left run gives at most k of the first `end` of a merge."""

    def __init__(self, before: Before, end: int) -> None:
        self.before = before
        self.end = end

    def __getitem__(self, k: int) -> bool:
        return self.before(self.end - 1 - k, k)

    def __len__(self) -> int:
        return self.end


def comparison(left: Array, right: Array, keys: Array | None = None) -> Before:
    """Return a function that tells whether right[j] sorts before left[i].

    It asks NumPy to sort the two, for what `<` means is not the order of its sorts.
    With `keys`, the runs are indices of these, and these are compared.
    """
    items = left if keys is None else keys
    pair = import_module("numpy").empty(2, items.dtype)

    def before(j: int, i: int) -> bool:
        if keys is None:
            pair[:1], pair[1:] = left[i : i + 1], right[j : j + 1]
        else:
            pair[:1], pair[1:] = keys[left[i : i + 1]], keys[right[j : j + 1]]
        return bool(pair.argsort(kind="stable")[0])

    return before
