"""A tiny function over a million items: map of executors and pools."""

from collections.abc import Iterator

from _measure import Row, cost_row, gain_row, gil_is_on, side_by_side
from _successor import is_right, make, successor

__all__ = ["is_right", "make", "rows", "successor"]


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare each with a list comprehension and with its model, at two workers."""
    size = 100_000 if quick else 1_000_000
    few = size // 20  # the models would take half a minute
    for ours, name in (
        ("with_taskrt", "TaskExecutor.map"),
        ("with_taskrt_pool", "Pool.map"),
    ):
        sides = side_by_side("executor_map", ours, size=size, repeats=7, workers=2)
        budget = 1.5 if gil_is_on() else None
        yield cost_row(f"{name} of {size:,} / serial", sides, budget, each=size)
        sides = side_by_side(
            "executor_map", ours, base="with_executor", size=few, repeats=3, workers=2
        )
        what = f"{name} of {few:,}, ThreadPoolExecutor.map"
        yield gain_row(what, sides, 20, each=few)
    sides = side_by_side(
        "executor_map",
        "with_taskrt_pool",
        base="with_pool",
        size=size,
        repeats=5,
        workers=2,
    )
    yield gain_row(f"Pool.map of {size:,}, ThreadPool.map", sides, None, each=size)
