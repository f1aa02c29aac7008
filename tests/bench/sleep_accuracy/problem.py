"""How much later than asked a sleep of an idle runtime ends."""

from collections.abc import Iterator
from statistics import median

from _measure import Budget, Row, call_in_child, short_time

SLEEPERS = {
    "with_time": "time.sleep",
    "with_asyncio": "asyncio.sleep",
    "with_taskrt": "taskrt.sleep in a task",
    "with_taskrt_on_main": "taskrt.sleep on main",
}


def rows(*, quick: bool) -> Iterator[Row]:
    """Show the median beside the system's own, the 99th percentile and the worst."""
    count = 100 if quick else 1000
    for who, what in SLEEPERS.items():
        function = f"sleep_accuracy.{who}:lateness"
        late = sorted(call_in_child(function, 2, 600, count))
        p99 = late[len(late) * 99 // 100]
        yield Row(
            f"{what}, {count} sleeps of 1 to 5 ms",
            ours=short_time(median(late)),
            value=p99 * 1e3,
            unit="ms",
            budget=Budget(1.0) if "taskrt" in what else None,
            note=f"the 99th percentile; at most {short_time(late[-1])}",
            samples=late,
        )
