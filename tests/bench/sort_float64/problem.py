"""The psort example on random float64, two workers, against NumPy's own sorts."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from _measure import Row, gain_row, is_installed, side_by_side


@cache
def numbers(size: int) -> Any:
    """Return the input."""
    import numpy as np

    return np.random.default_rng(1).random(size)


@cache
def in_order(size: int) -> Any:
    """Return the answer."""
    import numpy as np

    return np.sort(numbers(size))


def make(size: int) -> Any:
    """Return a copy of the input, to be sorted in place."""
    return numbers(size).copy()


def is_right(answer: Any, size: int) -> bool:
    """Return whether `answer` is the input in order."""
    return bool((answer == in_order(size)).all())


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with the stable sort, which psort is made of, and the default one."""
    size, repeats = (4_000_000, 3) if quick else (20_000_000, 7)
    for base, kind, budget in (
        ("serial", "stable", None if quick else 1.8),
        ("serial_default", "default", None),
    ):
        what = f"sort({kind}) / psort of {size:,}, 2 workers"
        if not is_installed("numpy"):
            yield Row(what, note="skipped: numpy is not installed")
            continue
        sides = side_by_side(
            "sort_float64",
            "with_taskrt",
            base=base,
            size=size,
            repeats=repeats,
            workers=2,
        )
        yield gain_row(what, sides, budget)
