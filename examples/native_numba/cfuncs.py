"""Functions of Numba where a C function is wanted: for work, and for a loop.

What they get is a pointer, here to a NumPy array.

    python examples/native_numba/cfuncs.py 1000
"""

# mypy: disable-error-code="no-any-return, no-untyped-def, untyped-decorator"

import sys

# [cfuncs]
import numpy as np
from numba import carray, cfunc, njit

from taskrt import native
from taskrt.native_numba import join, spawn


@njit("int64(voidptr, int64)")  # compiled here, as a cfunc is
def fib(context, n: int) -> int:
    if n < 2:
        return n
    child = spawn(context, fib, n - 1)
    mine = fib(context, n - 2)
    return join(context, child) + mine


@cfunc("int32(voidptr, voidptr)")
def begin(context, data) -> int:
    pair = carray(data, 2, np.int64)
    pair[1] = fib(context, pair[0])
    return 0  # or a status of your own: it becomes a NativeError


@cfunc("int32(voidptr, int64, int64, voidptr)")
def square(context, start: int, stop: int, data) -> int:
    numbers = carray(data, stop, np.float64)
    for i in range(start, stop):
        numbers[i] *= numbers[i]
    return 0


def squares(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the squares of 0, 1, 2, ..."""
    numbers = np.arange(float(count))
    native.for_range(square, 0, count, numbers)
    return numbers


# [/cfuncs]


def main(count: int = 1000) -> int:
    """Return 1 if a result is wrong."""
    pair = np.array([20, 0])
    native.run(begin, pair)
    total = squares(count).sum()
    print(f"fib({pair[0]}) = {pair[1]}, {count:,} squares in parallel: {total:,.0f}")
    return int(pair[1] != 6765 or total != sum(i * i for i in range(count)))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
