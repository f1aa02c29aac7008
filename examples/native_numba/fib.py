"""What a native task costs in Numba: Fibonacci numbers with a spawn for every sum.

With one thread the difference is the cost; more share the work.

    TASKRT_NUM_THREADS=1 python examples/native_numba/fib.py 32
"""

# mypy: disable-error-code="no-any-return, no-untyped-def, untyped-decorator"

import sys
from time import perf_counter

# [fib]
from numba import njit

from taskrt.native_numba import join, run, spawn


@njit
def fib(context, n: int) -> int:
    if n < 2:
        return n
    child = spawn(context, fib, n - 1)  # others may take it from here on
    mine = fib(context, n - 2)  # meanwhile: a plain call
    return join(context, child) + mine  # nobody took it: a plain call too


# [/fib]


@njit
def serial(n: int) -> int:
    return n if n < 2 else serial(n - 1) + serial(n - 2)


def main(n: int = 32) -> int:
    """Print both times; return 1 if the results differ."""
    run(fib, 1)
    tasks = serial(n + 1) - 1
    begin = perf_counter()
    expected = serial(n)
    middle = perf_counter()
    result = run(fib, n)
    end = perf_counter()
    beyond = (end - middle) - (middle - begin)
    print(f"serial    {1e3 * (middle - begin):8.1f} ms")
    print(f"parallel  {1e3 * (end - middle):8.1f} ms, {tasks:,} tasks")
    print(f"a task    {1e9 * beyond / tasks:8.1f} ns more than a call")
    return result != expected


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
