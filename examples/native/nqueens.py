"""Count the ways to place n queens in C, with a native task for each square.

A task takes nanoseconds to spawn, so that no cutoff is needed: by default all rows
spawn. Subtrees differ in size, and stealing evens that out.

    python examples/native/nqueens.py 14 --rows 4
"""

import argparse
import ctypes
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # of _report and native

from _report import Report, timed
from native._build import load

import taskrt.native


# [nqueens]
class Data(ctypes.Structure):
    """queens_data of nqueens.c."""

    _fields_ = (
        ("n", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("boards", ctypes.c_int64),
    )


def queens(library: ctypes.CDLL, n: int, rows: int) -> int:
    """Count the boards with a task for each safe square of the first `rows` rows."""
    data = Data(n, rows)
    taskrt.native.run(library.queens, data)
    return int(data.boards)


# [/nqueens]


def serial(library: ctypes.CDLL, n: int) -> int:
    """Count them by plain calls."""
    library.queens_serial.argtypes = [ctypes.c_int64]
    library.queens_serial.restype = ctypes.c_int64
    return int(library.queens_serial(n))


def measure(argv: list[str] | None = None) -> Report:
    """Count both ways as the command line `argv` says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=13, help="16 at most")
    parser.add_argument("--rows", type=int, help="rows that spawn, all by default")
    args = parser.parse_args(argv)
    rows = args.n if args.rows is None else args.rows
    library = load("nqueens")
    base, expected = timed(serial, library, args.n)
    ours, found = timed(queens, library, args.n, rows)
    title = f"{args.n} queens, {found:,} boards"
    return Report(title, base, {"parallel": ours}, found == expected)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the counts differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
