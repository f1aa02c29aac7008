"""Walk an unbalanced tree in NumPy arrays, with a native task for each node, in Numba.

How the work is split follows from the tree, whatever its shape: idle threads steal the
largest subtrees that are left.

    python examples/native_numba/tree.py 1000000
"""

# mypy: disable-error-code="no-any-return, no-untyped-def, untyped-decorator"

import sys
from time import perf_counter

import numpy as np
from numba import njit

from taskrt.native_numba import join, run, spawn

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


# [walk]
@njit
def walk(context, left: Ints, right: Ints, value: Floats, node: int) -> float:
    """Return the sum of the values from `node` on down; children of -1 are none."""
    if node < 0:
        return 0.0
    child = spawn(context, walk, left, right, value, left[node])
    total = value[node] + walk(context, left, right, value, right[node])
    return total + join(context, child)


# [/walk]


@njit
def serial(left: Ints, right: Ints, value: Floats, node: int) -> float:
    if node < 0:
        return 0.0
    total = value[node] + serial(left, right, value, right[node])
    return total + serial(left, right, value, left[node])


@njit
def grow(keys: Floats, left: Ints, right: Ints) -> None:
    """Insert the keys into a binary search tree that is never balanced."""
    for new in range(1, len(keys)):
        node, side = 0, left
        while node >= 0:
            parent = node
            side = left if keys[new] < keys[parent] else right
            node = side[parent]
        side[parent] = new


def main(size: int = 1_000_000) -> int:
    """Print both times; return 1 if the results differ."""
    left, right = np.full((2, size), -1)
    value = np.arange(size) / 2  # sums of halves are exact, in any order
    grow(np.random.default_rng(1).random(size) ** 4, left, right)
    for _ in range(2):  # the first time with compilation
        begin = perf_counter()
        expected = serial(left, right, value, 0)
        middle = perf_counter()
        result = run(walk, left, right, value, 0)
        end = perf_counter()
    print(f"serial    {1e3 * (middle - begin):8.1f} ms")
    print(f"parallel  {1e3 * (end - middle):8.1f} ms, {size:,} nodes")
    return result != expected


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
