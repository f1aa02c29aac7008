"""Dividing a sequence, or a number of indices, into parts."""

from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any, Literal, TypeVar, overload

from taskrt import _core
from taskrt.parallel._blocks import as_count

_T = TypeVar("_T")


def _count(length: int, n: int | None, size: int | None, min_size: int) -> int:
    """Return how many chunks there are to be."""
    if size is not None:
        return -(-length // size)
    return min(n or _core.num_threads(), length, max(1, length // min_size))


@overload
def chunks(
    what: int,
    *,
    n: int | None = ...,
    size: int | None = ...,
    min_size: int = ...,
    split: Literal["consecutive", "round_robin"] = ...,
) -> list[range]: ...
@overload
def chunks(
    what: Sequence[_T],
    *,
    n: int | None = ...,
    size: int | None = ...,
    min_size: int = ...,
    split: Literal["consecutive", "round_robin"] = ...,
) -> list[Sequence[_T]]: ...
def chunks(
    what: Any,
    *,
    n: int | None = None,
    size: int | None = None,
    min_size: int = 1,
    split: Literal["consecutive", "round_robin"] = "consecutive",
) -> Any:
    """Divide a sequence, or the indices below a number, into chunks; return the list.

    what      a sequence that can be sliced, an array too; or an int, 0 or more: chunks
              are ranges then
    n         at most so many chunks, whose sizes differ by 1 at most; by default one
              for each thread, see `num_threads`
    size      instead of n: so many items in each chunk, fewer in the last
    min_size  with n: rather fewer chunks than such as have fewer items than this
    split     "consecutive": each chunk is a part in one piece; "round_robin": each has
              every n-th item, for work that grows along the sequence

    No chunk is empty, and of nothing there are none. Chunks are slices: of a list a
    copy, of a range or an array none. For loops whose body needs to see its items as
    one; other loops divide themselves. Raises TypeError or ValueError for other
    arguments. Not a suspension point. Source: ChunkSplitters.jl.

    >>> from taskrt import parallel
    >>> parallel.chunks("abcdefg", n=3)
    ['ab', 'cd', 'efg']
    >>> parallel.chunks(10, size=4)
    [range(0, 4), range(4, 8), range(8, 10)]
    >>> parallel.chunks([1, 2, 3, 4, 5], n=2, split="round_robin")
    [[1, 3, 5], [2, 4]]
    """
    n = as_count("chunks()", "n", n)
    size = as_count("chunks()", "size", size)
    min_size = as_count("chunks()", "min_size", min_size) or 1
    if size is not None and (n is not None or min_size != 1):
        raise ValueError(
            "chunks() takes size or else n and min_size: they may contradict each other"
        )
    if split not in ("consecutive", "round_robin"):
        raise ValueError(
            f"chunks(): split must be 'consecutive' or 'round_robin', not {split!r}"
        )
    if hasattr(what, "__index__") and not hasattr(what, "__len__"):
        what = index(what)
        if what < 0:
            raise ValueError(f"chunks() takes 0 indices or more, not {what}")
        what = range(what)
    elif not (hasattr(what, "__len__") and hasattr(what, "__getitem__")) or isinstance(
        what, dict
    ):
        raise TypeError(
            "chunks() takes an int or a sequence that can be sliced, not "
            f"{type(what).__name__!r}: make a list of it"
        )
    length = len(what)
    count = _count(length, n, size, min_size)
    if split == "round_robin":
        return [what[first::count] for first in range(count)]
    if size is not None:
        return [what[low : low + size] for low in range(0, length, size)]
    ends = [length * part // count for part in range(count + 1)] if count else []
    return [what[low:high] for low, high in pairwise(ends)]
