"""What NumPy does with one thread, and taskrt with two, on arrays beyond the caches."""

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from _measure import Row, gain_row, is_installed, side_by_side

# What is done, with how many items (quick, and else), and how many times as fast it is
# to be: what waits for memory alone gains less than what computes.
WORK = {
    "sum": (10_000_000, 40_000_000, 1.6),
    "max": (10_000_000, 40_000_000, None),
    "cumsum": (10_000_000, 40_000_000, None),
    "cumsum_int": (10_000_000, 40_000_000, None),
    "map_sin": (5_000_000, 20_000_000, 1.6),
    "map_steps": (5_000_000, 20_000_000, 1.6),
    "merge": (5_000_000, 20_000_000, None),
    "sort_S8": (500_000, 2_000_000, 1.6),
    "sort_U8": (500_000, 2_000_000, 1.6),
    "sort_U16": (500_000, 2_000_000, 1.6),
    "sort_words": (500_000, 2_000_000, 1.6),
    "sort_complex": (500_000, 2_000_000, None),
    "sort_rows": (2_000_000, 10_000_000, None),
    "argsort_U8": (500_000, 2_000_000, 1.6),
}


def steps(x: Any) -> Any:
    """Compute something in three steps."""
    import numpy as np

    return np.sqrt(x * x + 1)


@cache
def data_of(what: str, length: int) -> Any:
    """Return the input, which nobody writes to."""
    import numpy as np

    rng = np.random.default_rng(1)
    kind = what.partition("_")[2]
    if kind in ("S8", "U8"):
        return rng.integers(0, 10**8, length).astype(kind)
    if kind == "U16":
        return rng.integers(0, 10**15, length).astype(kind)
    if kind == "words":  # common beginnings, and every word many times
        words = rng.integers(0, 10**5, length).astype("S8")
        return np.strings.add(b"https://example.org/", words)
    if kind == "int":
        return rng.integers(0, 100, length)
    numbers = rng.random(length)
    if what == "merge":
        return np.sort(numbers[::2]), np.sort(numbers[1::2])
    if kind == "complex":
        return numbers + 1j * rng.random(length)
    return numbers.reshape(-1, 1000) if kind == "rows" else numbers


@cache
def answer_of(what: str, length: int) -> Any:
    """Return what NumPy gives."""
    return importlib.import_module("array_algorithms.serial").run(make([what, length]))


def make(size: list[Any]) -> tuple[str, Any]:
    """Return what to do, and the input."""
    return size[0], data_of(*size)


def is_right(answer: Any, size: list[Any]) -> bool:
    """Return whether `answer` is what NumPy gives; of sums, up to rounding."""
    import numpy as np

    expected = answer_of(*size)
    if size[0] in ("sum", "cumsum"):
        return bool(np.allclose(answer, expected, rtol=1e-9))
    return bool(np.array_equal(answer, expected))


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare each with NumPy, which sorts by its default algorithm."""
    for what, (few, many, budget) in WORK.items():
        length, repeats = (few, 3) if quick else (many, 7)
        title = f"NumPy / {what} of {length:,}, 2 workers"
        if not is_installed("numpy"):
            yield Row(title, note="skipped: numpy is not installed")
            continue
        sides = side_by_side(
            "array_algorithms",
            "with_taskrt",
            size=[what, length],
            repeats=repeats,
            workers=2,
        )
        yield gain_row(title, sides, None if quick else budget)
