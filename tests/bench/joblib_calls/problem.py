"""joblib's Parallel over a tiny function: the backend of taskrt beside joblib's own."""

from collections.abc import Iterator

from _measure import Row, gain_row, is_installed, side_by_side
from _successor import is_right, make, successor

__all__ = ["is_right", "make", "rows", "successor"]

BASES = {"with_threading": ("threads", 3), "with_loky": ("processes", 1)}


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with each of joblib's backends."""
    size = 2_000 if quick else 20_000
    for base, (name, times) in BASES.items():
        what = f"Parallel over {size:,}, {name} / taskrt, 2 workers"
        if is_installed("joblib"):
            sides = side_by_side(
                "joblib_calls", "with_taskrt", base=base, size=size, workers=2
            )
            yield gain_row(what, sides, times, each=size)
        else:
            yield Row(what, note="skipped: joblib is not installed")
