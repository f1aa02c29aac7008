"""A task that suspends once, spawn to fetch, against a pair of greenlet switches."""

from collections.abc import Iterator

from _measure import Row, cost_row, side_by_side


def make(size: int) -> int:
    """Return how many tasks there are to be."""
    return size


def is_right(answer: object, size: int) -> bool:
    """Return whether each task suspended, but for the last of a few at a time."""
    return isinstance(answer, int) and size * 0.96 <= answer <= size


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare tasks that start on stacks of their own, and ones run by their fetch."""
    size, repeats = (32_000, 7) if quick else (96_000, 15)
    for ours, what, budget in (
        ("with_taskrt", "suspending task, from main / switch pair", 3.0),
        ("with_taskrt_in_task", "suspending task, from a task / switch pair", 3.0),
        ("with_taskrt_inline", "the same, run by its fetch / switch pair", None),
        ("with_taskrt_singly", "main suspends for a task / switch pair", None),
    ):
        sides = side_by_side(
            "suspend", ours, base="with_greenlet", size=size, repeats=repeats
        )
        yield cost_row(what, sides, budget, each=size)
