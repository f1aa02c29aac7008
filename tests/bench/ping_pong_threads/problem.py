"""An item back and forth between two workers, against threads with SimpleQueue."""

from collections.abc import Iterator

from _measure import Row, cost_row, side_by_side


def make(size: int) -> int:
    """Return how often the item goes there and comes back."""
    return size // 2


def is_right(answer: object, size: int) -> bool:
    """Return whether it has been there and back that often, between two threads."""
    return answer == (size // 2, 2)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare one way of the item, which wakes the other thread, with the same."""
    size, repeats = (10_000, 5) if quick else (40_000, 9)
    sides = side_by_side(
        "ping_pong_threads",
        "with_taskrt",
        base="with_threads",
        size=size,
        repeats=repeats,
        workers=3,  # main waits; the two that play are others
    )
    yield cost_row("Channel(0) across workers / SimpleQueue", sides, None, each=size)
