"""Group points by k-means: many short parallel steps, each of which needs the last.

Lloyd's algorithm. In each step every point goes to its nearest center, and each center
moves to the mean of its points. A step is a `map` over blocks of points, which gives
sums and counts, and their total. The blocks are the same whatever the number of
threads, and are added up in order: so are the centers, to the last bit.

    python examples/kmeans.py 400000
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import Any

from _picture import Picture
from _report import Report, needed, timed

from taskrt import parallel

PICTURE = Picture()
CENTERS = 8
STEPS = 10
BLOCK = 1 << 14  # points


def assign(points: Any, centers: Any) -> tuple[Any, Any]:
    """Return the sum and the number of the points that are nearest to each center."""
    import numpy as np

    distances = [np.square(points - center).sum(axis=1) for center in centers]
    nearest = np.argmin(distances, axis=0)
    counts = np.bincount(nearest, minlength=len(centers))
    columns = [np.bincount(nearest, x, minlength=len(centers)) for x in points.T]
    return np.stack(columns, axis=1), counts


def kmeans(blocks: list[Any], centers: Any, each: Callable[..., Iterable[Any]]) -> Any:
    """Return the centers after some steps; `each` is `map` or parallel.map."""
    for _ in range(STEPS):
        parts = list(each(lambda block, now=centers: assign(block, now), blocks))
        total = sum(part for part, _ in parts)
        counts = sum(count for _, count in parts)
        centers = total / counts.clip(1)[:, None]
    return centers


# [kmeans]
def serial(blocks: list[Any], centers: Any) -> Any:
    """Find the centers on one thread."""
    return kmeans(blocks, centers, map)


def in_parallel(blocks: list[Any], centers: Any) -> Any:
    """Find the same centers on all of them."""

    def each(fn: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        return parallel.map(lambda item: PICTURE.leaf("assign", fn, item), items)

    return kmeans(blocks, centers, each)


# [/kmeans]


def measure(argv: list[str] | None = None) -> Report:
    """Group the same points both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", type=int, nargs="?", default=200_000)
    size = parser.parse_args(argv).size
    np = needed("kmeans", "numpy", "NumPy")
    random = np.random.default_rng(1)
    home = random.normal(size=(CENTERS, 4)) * 5
    points = home[random.integers(CENTERS, size=size)] + random.normal(size=(size, 4))
    blocks = [points[low : low + BLOCK] for low in range(0, size, BLOCK)]
    base, expected = timed(serial, blocks, points[:CENTERS])
    ours, found = PICTURE.watch(in_parallel, blocks, points[:CENTERS])
    title = f"kmeans of {size:,} points, {CENTERS} centers, {STEPS} steps"
    equal = bool(np.array_equal(found, expected))
    return Report(title, base, {"parallel": ours}, equal, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the centers differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
