"""Kernels on arrays of numbers, parallel where that is faster.

An *array* here is any object whose buffer holds integers of 8 to 64 bits, float32 or
float64, in this machine's byte order: ``array.array``, a NumPy array, a memoryview. All
functions raise TypeError for other objects and other numbers, ValueError if an array
has not exactly one dimension, but for sorting, is not aligned, is read-only where it is
written to, or overlaps another in memory that it must not overlap. Nothing has been
written then.

Long arrays are worked on by the pool, detached from Python: that is a suspension point.
What one thread does in some hundred microseconds is done at once, by the caller's. Each
call is a checkpoint; a call that is cancelled later leaves what it writes unfinished.
The caller sees to it that nobody writes to the arrays meanwhile.
"""

from __future__ import annotations

from taskrt import _core

__all__ = ["argsort", "copy", "fill", "merge", "merge_path", "sort", "sum"]


def merge(left: object, right: object, out: object, /) -> None:
    """Merge two sorted arrays into `out`, which has room for exactly both.

    The merge is stable: of equals, those of `left` come first. NaNs come last, as in
    `numpy.sort`. All three are contiguous and hold the same type, and `out` overlaps
    neither of the others. Unless both are sorted, what is in `out` afterwards is not
    specified.

    Source: merge path, Odeh, Green, Mwassi, Shmueli and Birk, IPDPS Workshops 2012.
    """
    _core._merge(left, right, out)


def merge_path(left: object, right: object, diagonal: int, /) -> tuple[int, int]:
    """Return how many of the first `diagonal` items of a merge each array gives.

    `merge` of ``left[:i]`` and ``right[:j]`` is the beginning of that of all, and that
    of the others is its end. Neither a suspension point nor a checkpoint.
    """
    return _core._merge_path(left, right, diagonal)


def fill(array: object, value: float, /) -> None:
    """Set all items of the array, contiguous or not, to `value`.

    Raises OverflowError if the type of the items cannot hold the value, TypeError if
    they are integers and the value is not.
    """
    _core._fill(array, value)


def copy(source: object, target: object, /) -> None:
    """Copy all items of one array to another of the same type and length.

    Neither has to be contiguous; the memory from the first item to the last of one must
    not overlap that of the other.
    """
    _core._copy(source, target)


def sum(array: object, /) -> int | float:  # noqa: A001
    """Return the sum of all items of the array, contiguous or not.

    Integers are added up in 64 bits and wrap around, as in NumPy. Floating-point
    numbers are added up in double precision, more exactly than one after the other, and
    in an order that depends on the length alone: the sum is the same, to the last bit,
    on any number of threads.
    """
    return _core._sum(array)


def sort(array: object, /, *, reverse: bool = False) -> None:
    """Sort each row of the array, along its last dimension, where it is.

    The array has one dimension or more and is contiguous, in the order of C. The sort
    is stable: equals keep their order, -0.0 and 0.0 among them. NaNs come last, in the
    order in which they were; all bits of all items stay. `reverse` sorts from the
    largest to the smallest: equals keep their order, and NaNs come last, then too.

    The outcome is the same on any number of threads. Needs memory for as many items
    again. Raises MemoryError if there is none; each row then holds all of its items in
    some order, and so it does after a cancellation.

    Source: an MSD radix sort by the range of the data, then an LSD radix sort in cache;
    see csrc/kernels/sort.c.
    """
    _core._sort(array, reverse)


def argsort(array: object, out: object, /, *, reverse: bool = False) -> None:
    """Write to `out` for each row the indices of its items in the order of `sort`.

    `out` holds int64, has the shape of the array and does not overlap it; both are
    contiguous. Needs memory for as many int64 again. Raises MemoryError if there is
    none; what `out` holds then, and after a cancellation, is not specified.

    Source: packed ranks and indices, sorted as by `sort`; see csrc/kernels/argsort.c.
    """
    _core._argsort(array, out, reverse)
