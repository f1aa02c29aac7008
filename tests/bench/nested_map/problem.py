"""Maps three deep, whose uneven leaves hash without the GIL: few threads, all busy."""

import hashlib
import os
from collections.abc import Iterator

from _measure import Budget, Row, call_in_child, gain_row, side_by_side

from taskrt import parallel

DATA = bytes(range(256)) * 4096  # 1 MiB: 500 microseconds or more
WIDTHS = (3, 5, 7)


def leaf(path: int) -> str:
    """Return a hash of data chosen by `path`."""
    return hashlib.sha256(memoryview(DATA)[: 65536 + 7919 * path % 983040]).hexdigest()


def paths(above: int, width: int) -> range:
    """Return the paths of the nodes one level below `above`."""
    return range(above * width, (above + 1) * width)


def make(size: int) -> int:
    """Return how many roots there are."""
    return size


def nest(map_: object, root: int) -> list[object]:
    """Return what the leaves below a root hash to, by the given map."""

    def middle(path: int) -> list[object]:
        return map_(leaf, paths(path, WIDTHS[2]))  # type: ignore[operator]

    def outer(path: int) -> list[object]:
        return map_(middle, paths(path, WIDTHS[1]))  # type: ignore[operator]

    return map_(outer, paths(root, WIDTHS[0]))  # type: ignore[operator]


def is_right(answer: object, size: int) -> bool:
    """Return whether all hashes are there, each in its place."""
    expected = [nest(lambda fn, items: [fn(i) for i in items], r) for r in range(size)]
    return answer == expected


def threads_of(size: int) -> int:
    """Run it and return how many threads of the system there are, seen between maps."""
    seen = []

    def run(fn: object, items: object) -> list[object]:
        seen.append(len(os.listdir("/proc/self/task")))
        return parallel.map(fn, items)  # type: ignore[call-overload]

    parallel.map(lambda root: nest(run, root), range(size))
    return max(seen)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with nested comprehensions, and count threads."""
    size = 3 if quick else 10
    leaves = size * WIDTHS[0] * WIDTHS[1] * WIDTHS[2]
    what = f"maps 3 deep, {leaves:,} leaves, serial / taskrt"
    sides = side_by_side("nested_map", "with_taskrt", size=size, repeats=9, workers=2)
    yield gain_row(what, sides, 1.8, each=leaves)
    what = "threads during maps 3 deep, 2 workers"
    if not os.path.isdir("/proc/self/task"):
        yield Row(what, note="skipped: nothing here tells")
        return
    most = call_in_child("nested_map.problem:threads_of", 2, 60.0, size)
    yield Row(what, value=float(most), unit="", budget=Budget(2))
