"""A tiny function over a million items: parallel.map beside what others have."""

from collections.abc import Iterator

from _measure import Row, cost_row, gain_row, gil_is_on, is_installed, side_by_side
from _successor import is_right, make, successor

__all__ = ["is_right", "make", "rows", "successor"]

PEERS = {
    "with_executor": ("ThreadPoolExecutor.map", "concurrent.futures", 20),
    "with_joblib": ("joblib, threads", "joblib", 1),
    "with_dask": ("Dask bag, threads", "dask", 1),
}


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with a list comprehension, then each peer with taskrt."""
    size = 100_000 if quick else 1_000_000
    few = size // 20
    for workers in (1, 2):
        sides = side_by_side(
            "parallel_map", "with_taskrt", size=size, repeats=9, workers=workers
        )
        if workers == 2 and not gil_is_on():
            what = f"map of {size:,}, serial / taskrt, 2 workers"
            yield gain_row(what, sides, 1.6, each=size)
        else:
            what = f"map of {size:,}, taskrt / serial, {workers} workers"
            yield cost_row(what, sides, 1.3, each=size)
    for base, (name, module, times) in PEERS.items():
        what = f"map of {few:,}, {name} / taskrt, 2 workers"
        if is_installed(module):
            sides = side_by_side(
                "parallel_map", "with_taskrt", base=base, size=few, workers=2
            )
            yield gain_row(what, sides, times, each=few)
        else:
            yield Row(what, note=f"skipped: {module} is not installed")
