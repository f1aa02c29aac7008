"""How much later than asked a sleep of an idle runtime ends, beside the system's."""

from collections.abc import Iterator
from statistics import median

from _measure import Budget, Row, call_in_child, short_time

SLEEPERS = (
    ("with_asyncio", "asyncio.sleep", None),
    ("with_taskrt", "taskrt.sleep in a task", Budget(1.0)),
    ("with_taskrt_on_main", "taskrt.sleep on main", Budget(1.0)),
)


def rows(*, quick: bool) -> Iterator[Row]:
    """Show the medians beside time.sleep's, and judge by the 99th percentile."""
    count = 100 if quick else 1000
    system = measure("with_time", count)
    for who, what, budget in SLEEPERS:
        late = measure(who, count)
        yield Row(
            f"late, {what} / time.sleep",
            base=short_time(median(system)),
            ours=short_time(median(late)),
            value=percentile_99(late) * 1e3,
            unit="ms",
            budget=budget,
            note=(
                f"99 % are better, of time.sleep {percentile_99(system) * 1e3:.2f}; "
                f"worst {late[-1] * 1e3:.2f} and {system[-1] * 1e3:.2f}"
            ),
            samples=late,
        )


def measure(who: str, count: int) -> list[float]:
    """Return by how many seconds sleeps of 1 to 5 ms are too long, sorted."""
    late: list[float] = call_in_child(f"sleep_accuracy.{who}:lateness", 2, 600, count)
    return sorted(late)


def percentile_99(values: list[float]) -> float:
    """Return what 99 of 100 of the sorted values are below."""
    return values[len(values) * 99 // 100]
