"""The processor time of a runtime that has nothing to do."""

from collections.abc import Iterator

from _measure import Budget, Row, call_in_child


def rows(*, quick: bool) -> Iterator[Row]:
    """Measure beside a sleeping main thread, and beside one that waits for a task."""
    seconds = 1 if quick else 5
    for how, what in (
        ("asleep", "main sleeps"),
        ("waiting", "main waits for a task"),
        ("10,000 sleepers", "10,000 tasks sleep"),
    ):
        share = call_in_child("idle.with_taskrt:cpu_share", 2, 60, how, seconds)
        yield Row(
            f"idle for {seconds} s, {what}",
            value=100 * share,
            unit="% CPU",
            budget=Budget(0.05),
        )
