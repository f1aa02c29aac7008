"""A tiny function over many items, all started before the first is awaited."""

from collections.abc import Iterator

from _measure import Row, cost_row, is_installed, side_by_side
from _successor import is_right, make, successor

__all__ = ["is_right", "make", "rows", "successor"]

CONTENDERS = {
    "with_taskrt": ("taskrt", "taskrt"),
    "with_executor": ("ThreadPoolExecutor.map", "concurrent.futures"),
    "with_gevent": ("gevent", "gevent"),
    "with_asyncio": ("asyncio.gather", "asyncio"),
}


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare each with a list comprehension, at two workers."""
    size = 10_000 if quick else 50_000
    for ours, (name, module) in CONTENDERS.items():
        what = f"map of {size:,}, {name} / serial"
        if is_installed(module):
            sides = side_by_side("tiny_map", ours, size=size, repeats=5, workers=2)
            yield cost_row(what, sides, None, each=size)
        else:
            yield Row(what, note=f"skipped: {module} is not installed")
