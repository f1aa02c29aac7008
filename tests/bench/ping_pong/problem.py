"""Two tasks of one worker that hand an item back and forth, against greenlets."""

from collections.abc import Iterator

from _measure import Row, cost_row, side_by_side


def make(size: int) -> int:
    """Return how often the item goes there and comes back."""
    return size // 2


def is_right(answer: object, size: int) -> bool:
    """Return whether it has been there and back that often."""
    return answer == size // 2


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare a step over two rendezvous channels with one `greenlet.switch`."""
    size, repeats = (100_000, 7) if quick else (400_000, 15)
    sides = side_by_side(
        "ping_pong", "with_taskrt", base="with_greenlet", size=size, repeats=repeats
    )
    yield cost_row("Channel(0) to a task / greenlet.switch()", sides, 3.0, each=size)
