"""Fibonacci numbers the slow way: a task at every level, and a task above a cutoff.

A task at every level shows what a spawn costs: most tasks end as plain calls, because
a fetch of a task that nobody has started runs it on the spot. The cutoff gives each
task enough work to be worth a move to another core. All of it is Python code, which
gains from more workers only on a free-threaded interpreter.

    python examples/fib.py 30 --cutoff 18
"""

import argparse
import sys

from _picture import Picture
from _report import Report, timed

from taskrt import fetch, spawn

PICTURE = Picture()


def serial(n: int) -> int:
    """Return the `n`-th Fibonacci number by plain calls."""
    return n if n < 2 else serial(n - 1) + serial(n - 2)


# [fib]
def fib(n: int) -> int:
    """Return the `n`-th Fibonacci number, spawning at every level."""
    if n < 2:
        return n
    task = spawn(fib, n - 2)
    return fib(n - 1) + fetch(task)


# [/fib]


def fib_above(n: int, cutoff: int) -> int:
    """Return the `n`-th Fibonacci number, spawning while `n` is above `cutoff`."""
    if n <= cutoff:
        return PICTURE.leaf("serial fib", serial, n)
    task = spawn(fib_above, n - 2, cutoff)
    return fib_above(n - 1, cutoff) + fetch(task)


def measure(argv: list[str] | None = None) -> Report:
    """Run all three ways as the command line `argv` says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=30)
    parser.add_argument("--cutoff", type=int, default=18, help="serial from here down")
    args = parser.parse_args(argv)
    base, expected = timed(serial, args.n)
    every, first = timed(fib, args.n)
    above, second = PICTURE.watch(fib_above, args.n, args.cutoff)
    ways = {"a task a level": every, f"tasks above fib({args.cutoff})": above}
    return Report(f"fib({args.n})", base, ways, first == second == expected, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if an answer is wrong."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
