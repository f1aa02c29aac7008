"""From a spawn to its start while all threads compute, for tasks of both pools."""

from collections.abc import Iterator
from statistics import median

from _measure import Budget, Row, call_in_child, short_time


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare tasks of the two pools, with the default one's threads busy in C."""
    rounds = 30 if quick else 150
    for workers in (1, 2):
        found = call_in_child("interactive.with_taskrt:start", workers, 600, rounds)
        ours, base = found["interactive"], found["default"]
        yield Row(
            f"{workers} busy: interactive task starts / another",
            base=short_time(median(base)),
            ours=short_time(median(ours)),
            value=median(ours) / median(base),
            budget=Budget(0.2),
            note="ratio of medians; computations of 10 ms, which release the GIL",
            samples=[o / b for b, o in zip(base, ours, strict=True)],
        )
