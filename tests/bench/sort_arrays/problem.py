"""20,000,000 random numbers of several types, two workers, against NumPy's own sorts.

NumPy's default sort picks the widest vectors that the processor has. On some of those
it is then several times slower than with narrower ones, so that it is measured with
either.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from _measure import Row, call_in_child, gain_row, is_installed, side_by_side

DTYPES = ("float64", "float32", "int64", "int32")
# At 20,000,000 items, where one is set.
BUDGETS = {("float64", "serial"): 1.6, ("float64", "serial_stable"): 1.8}


@cache
def numbers(what: str) -> Any:
    """Return the input: so many items of a type."""
    import numpy as np

    dtype, size = what.split()
    generator = np.random.default_rng(1)
    if dtype.startswith("float"):
        return generator.random(int(size), dtype)
    info = np.iinfo(dtype)
    return generator.integers(info.min, info.max, int(size), dtype, endpoint=True)


@cache
def in_order(what: str) -> Any:
    """Return the answer."""
    import numpy as np

    return np.sort(numbers(what))


def make(what: str) -> Any:
    """Return a copy of the input, to be sorted in place."""
    return numbers(what).copy()


def is_right(answer: Any, what: str) -> bool:
    """Return whether `answer` is the input in order."""
    return bool((answer == in_order(what)).all())


def wide_features() -> list[str]:
    """Return what NumPy calls the vectors of 512 bits that it uses here."""
    import numpy as np

    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return [name for name in found if name == "X86_V4" or name.startswith("AVX512")]


@contextmanager
def without(features: list[str]) -> Iterator[None]:
    """See that NumPy does not use these in processes that are started meanwhile."""
    os.environ["NPY_DISABLE_CPU_FEATURES"] = " ".join(features)
    try:
        yield
    finally:
        del os.environ["NPY_DISABLE_CPU_FEATURES"]


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with the default sort, with and without wide vectors, and the stable."""
    size, repeats = (4_000_000, 3) if quick else (20_000_000, 7)
    if not is_installed("numpy"):
        yield Row("sort / parallel sort", note="skipped: numpy is not installed")
        return
    wide = call_in_child("sort_arrays.problem:wide_features", 1)
    ways = [("serial", "default", []), ("serial_stable", "stable", [])]
    if wide:
        ways.insert(1, ("serial", "no AVX-512", wide))
    for dtype in DTYPES:
        for base, kind, features in ways:
            with without(features):
                sides = side_by_side(
                    "sort_arrays",
                    "with_taskrt",
                    base=base,
                    size=f"{dtype} {size}",
                    repeats=repeats,
                    workers=2,
                )
            what = f"{dtype}: sort({kind}) / kernel"
            budget = None if quick else BUDGETS.get((dtype, base))
            yield gain_row(what, sides, budget)
