"""The memory of a task that has not started."""

from collections.abc import Iterator
from statistics import median

from _measure import Budget, Row, call_in_child, can_read_rss


def rows(*, quick: bool) -> Iterator[Row]:
    """Measure tasks without arguments and with two."""
    count = 200_000 if quick else 1_000_000
    for arguments, budget in ((0, Budget(256)), (2, None)):
        what = f"{count:,} pending tasks, {arguments} arguments"
        if not can_read_rss():
            yield Row(what, note="skipped: needs /proc/self/statm")
            continue
        samples = [
            call_in_child(
                "memory_pending.with_taskrt:bytes_each", 1, 600, count, arguments
            )
            for _ in range(3)
        ]
        yield Row(
            what,
            value=median(samples),
            unit="bytes",
            budget=budget,
            samples=samples,
        )
