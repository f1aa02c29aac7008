"""Merge sort in parallel: halves as tasks, leaves in NumPy, merges that split too.

The algorithm of the Julia announcement of task parallelism. A leaf is NumPy's stable
sort. (Its default sort is another algorithm: not stable, and several times faster where
the processor has AVX-512.) Two sorted runs side by side are merged by the same sort,
which is a timsort: it finds the runs and merges them once. A long merge is first cut in
two: as much of the second run belongs in the lower part as of the first in the upper,
so these two swap places, and then each part merges by itself. All of it releases the
GIL and works in place; a merge borrows at most half of its piece.

    python examples/psort.py 20000000
"""

import argparse
import sys
from bisect import bisect_left
from typing import Any

from _picture import Picture
from _report import Report, needed, timed

from taskrt import fetch, num_threads, spawn

PICTURE = Picture()
SWAP = 1 << 16  # entries moved at a time, so that copies stay in the cache


# [psort]
def psort(v: Any, grain: int) -> None:
    """Sort the one-dimensional array `v` in place, leaves of at most `grain`."""
    if len(v) <= grain:
        PICTURE.leaf("sort", v.sort, kind="stable")
        return
    mid = len(v) // 2
    half = spawn(psort, v[:mid], grain)
    psort(v[mid:], grain)
    fetch(half)
    merge(v, mid, grain)


def merge(v: Any, mid: int, grain: int) -> None:
    """Merge the sorted runs `v[:mid]` and `v[mid:]` in place, equals in order."""
    if min(mid, len(v) - mid) <= grain:
        PICTURE.leaf("merge", v.sort, kind="stable")
        return
    # The lower part takes `cut` of the first run and fills up from the second.
    first, second = v[:mid], v[mid:]
    low = max(0, mid - len(second))
    cut = bisect_left(
        range(mid), x=True, lo=low, key=lambda i: less(second[mid - 1 - i], first[i])
    )
    late, early = first[cut:], second[: mid - cut]
    for i in range(0, len(late), SWAP):
        here = slice(i, i + SWAP)
        late[here], early[here] = early[here].copy(), late[here].copy()
    half = spawn(merge, first, cut, grain)
    merge(second, mid - cut, grain)
    fetch(half)


def less(a: Any, b: Any) -> bool:
    """Order as NumPy sorts: NaN comes last."""
    return bool(a < b or (a == a and b != b))


# [/psort]


def grain_for(size: int) -> int:
    """Return a leaf size that gives each worker about eight leaves."""
    return max(1 << 14, size // (8 * num_threads()))


def measure(argv: list[str] | None = None) -> Report:
    """Sort the same random numbers both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", type=int, nargs="?", default=20_000_000)
    size = parser.parse_args(argv).size
    np = needed("psort", "numpy", "NumPy")
    found = np.random.default_rng(1).random(size)
    expected = found.copy()
    base, _ = timed(expected.sort, kind="stable")
    ours, _ = PICTURE.watch(psort, found, grain_for(size))
    equal = np.array_equal(found, expected)
    title = f"psort of {size:,} float64"
    return Report(title, base, {"parallel": ours}, equal, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the arrays differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
