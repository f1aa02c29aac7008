"""Calls that other threads make, one after another, against an executor's."""

from collections.abc import Iterator

from _measure import Row, cost_row, side_by_side


def make(size: int) -> range:
    """Return the arguments of the calls."""
    return range(size)


def is_right(answer: object, size: int) -> bool:
    """Return whether each call has returned what it was given."""
    return answer == size * (size - 1) // 2


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare a call that main waits for, and one that a task waits for."""
    calls, repeats = (2_000, 5) if quick else (20_000, 9)
    for what, ours in (("main", "with_taskrt"), ("a task", "with_taskrt_in_task")):
        sides = side_by_side(
            "blocking",
            ours,
            base="with_executor",
            size=calls,
            repeats=repeats,
            workers=2,
        )
        yield cost_row(
            f"run_blocking, {what} waits / submit, result", sides, None, calls
        )
