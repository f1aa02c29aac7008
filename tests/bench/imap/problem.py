"""A tiny function over a stream of items, whose results are taken one by one."""

from collections.abc import Iterable, Iterator

from _measure import Row, cost_row, gain_row, side_by_side
from _successor import successor

__all__ = ["is_right", "make", "rows", "successor", "take"]


def make(size: int) -> Iterator[int]:
    """Return the items, in an iterator that nobody knows the length of."""
    return iter(range(size))


def take(results: Iterable[int]) -> int:
    """Take the results one by one, as a program does; return their sum."""
    total = 0
    for result in results:
        total += result
    return total


def is_right(answer: object, size: int) -> bool:
    """Return whether every item was mapped once."""
    return answer == size * (size + 1) // 2


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with the builtin map, and with a thread pool's, at two workers."""
    size = 20_000 if quick else 100_000
    for ours in ("with_taskrt", "with_taskrt_unordered"):
        name = "imap" if ours == "with_taskrt" else "imap, unordered"
        sides = side_by_side("imap", ours, size=size, repeats=5, workers=2)
        yield cost_row(f"{name} of {size:,} / map", sides, None, each=size)
    for base, name in (("with_pool", "1"), ("with_pool_chunks", "100")):
        sides = side_by_side(
            "imap", "with_taskrt", base=base, size=size, repeats=5, workers=2
        )
        budget = 5.0 if base == "with_pool" else None
        what = f"ThreadPool.imap, chunksize {name} / imap"
        yield gain_row(what, sides, budget, each=size)
