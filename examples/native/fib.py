"""Fibonacci numbers the slow way in C: a native task at every level, or above a cutoff.

A task at every level does nothing but spawn the next two, and so shows what a spawn and
a join cost: a few nanoseconds, for nearly all children end up as plain calls. That is
still more than the serial code takes, which the compiler inlines over several levels.
The cutoff leaves most of the tree to that.

    python examples/native/fib.py 38 --cutoff 18
"""

import argparse
import ctypes
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # of _report and native

from _report import Report, timed
from native._build import load

import taskrt.native


# [fib]
class Data(ctypes.Structure):
    """fib_data of fib.c."""

    _fields_ = (
        ("n", ctypes.c_int64),
        ("cutoff", ctypes.c_int64),
        ("result", ctypes.c_int64),
    )


def fib(library: ctypes.CDLL, n: int, cutoff: int) -> int:
    """Return the `n`-th Fibonacci number, spawning while `n` is above `cutoff`."""
    data = Data(n, cutoff)
    taskrt.native.run(library.fib, data)
    return int(data.result)


# [/fib]


def serial(library: ctypes.CDLL, n: int) -> int:
    """Return the `n`-th Fibonacci number by plain calls."""
    library.fib_serial.argtypes = [ctypes.c_int64]
    library.fib_serial.restype = ctypes.c_int64
    return int(library.fib_serial(n))


def measure(argv: list[str] | None = None) -> Report:
    """Run all three ways as the command line `argv` says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=38)
    parser.add_argument("--cutoff", type=int, default=18, help="serial from here down")
    args = parser.parse_args(argv)
    library = load("fib")
    base, expected = timed(serial, library, args.n)
    every, first = timed(fib, library, args.n, 1)
    above, second = timed(fib, library, args.n, max(1, args.cutoff))
    ways = {"a task a level": every, f"tasks above fib({args.cutoff})": above}
    title = f"fib({args.n}), {serial(library, args.n + 1) - 1:,} tasks"
    return Report(title, base, ways, first == second == expected)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if an answer is wrong."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
