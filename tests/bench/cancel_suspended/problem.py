"""Many suspended tasks that are cancelled at once, each with a finally block."""

from collections.abc import Iterator
from statistics import median

from _measure import Budget, Row, call_in_child, short_time


def rows(*, quick: bool) -> Iterator[Row]:
    """Time from the first cancel() until all have ended; the same with a scope."""
    count, turns = (10_000, 3) if quick else (100_000, 5)
    for how, what in (
        ("by_task", "each by Task.cancel()"),
        ("by_group", "all by a group's scope"),
    ):
        function = f"cancel_suspended.with_taskrt:{how}"
        found = [call_in_child(function, 1, 600, count) for _ in range(turns)]
        samples = [seconds for seconds, _ in found]
        busy = median(cpu for _, cpu in found)
        yield Row(
            f"{count:,} suspended tasks, {what}",
            ours=short_time(median(samples)),
            value=median(samples),
            unit="s",
            budget=Budget(1.0),
            note=f"{min(samples):.2f} to {max(samples):.2f}, processor {busy:.2f} s",
            samples=samples,
        )
