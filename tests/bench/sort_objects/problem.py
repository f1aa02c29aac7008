"""A list of floats to be sorted, with and without a key, against `sorted`."""

import functools
import random
from collections.abc import Iterator

from _measure import Row, cost_row, gain_row, gil_is_on, side_by_side


def key(number: float) -> float:
    """Return what to sort by."""
    return -number


@functools.cache
def make(size: int) -> list[float]:
    """Return the numbers, the same for all."""
    rng = random.Random(5)
    return [rng.random() for _ in range(size)]


@functools.cache
def _expected(size: int) -> list[float]:
    return sorted(make(size))


def is_right(answer: object, size: int) -> bool:
    """Return whether all are there, in either order."""
    return answer in (_expected(size), _expected(size)[::-1])


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare at two workers; with the GIL there is nothing to gain."""
    size = 100_000 if quick else 1_000_000
    for ours, base in (("with_taskrt", "serial"), ("with_taskrt_key", "serial_key")):
        what = f"sort of {size:,} floats" + (" by key" if "key" in ours else "")
        sides = side_by_side(
            "sort_objects", ours, base=base, size=size, repeats=5, workers=2
        )
        if gil_is_on():
            budget = 1.3 if base == "serial" else None
            yield cost_row(f"{what} / sorted", sides, budget)
        else:
            budget = 1.3 if base == "serial" else None
            yield gain_row(f"sorted / {what}", sides, budget)
