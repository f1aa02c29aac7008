"""A switch between two suspended tasks of one worker, against a bare greenlet's."""

from collections.abc import Iterator

from _measure import Row, cost_row, side_by_side


def make(size: int) -> int:
    """Return how often each of the two gives way."""
    return size // 2


def is_right(answer: object, size: int) -> bool:
    """Return whether both gave way that often, and every time the other ran."""
    return answer == [size // 2] * 2


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare `yield_now` both ways with `greenlet.switch` both ways."""
    size, repeats = (100_000, 7) if quick else (400_000, 15)
    sides = side_by_side(
        "switch", "with_taskrt", base="with_greenlet", size=size, repeats=repeats
    )
    yield cost_row("yield_now() / greenlet.switch()", sides, 1.5, each=size)
