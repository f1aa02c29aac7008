"""A graph of Dask: the scheduler of taskrt beside Dask's own threads."""

from collections.abc import Iterator
from typing import Any

from _measure import Row, cost_row, is_installed, side_by_side


def add(*numbers: int) -> int:
    """Return the sum."""
    return sum(numbers)


def make(size: int) -> tuple[dict[str, Any], str]:
    """Return the graph of a sum over that many numbers, and its key."""
    graph: dict[str, Any] = {f"0-{n}": (add, n) for n in range(size)}
    keys = list(graph)
    level = 0
    while len(keys) > 1:
        level += 1
        pairs = [keys[n : n + 8] for n in range(0, len(keys), 8)]
        keys = [f"{level}-{n}" for n in range(len(pairs))]
        graph.update((key, (add, *pair)) for key, pair in zip(keys, pairs))
    return graph, keys[0]


def is_right(answer: object, size: int) -> bool:
    """Return whether all numbers were added."""
    return answer == sum(range(size))


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with Dask's threads."""
    size = 500 if quick else 5_000
    what = f"sum over {size:,} tasks, taskrt / Dask's threads"
    if is_installed("dask"):
        sides = side_by_side(
            "dask_graph",
            "with_taskrt",
            base="with_threads",
            size=size,
            repeats=9,
            workers=2,
        )
        yield cost_row(what, sides, 1.05, each=size)
    else:
        yield Row(what, note="skipped: dask is not installed")
