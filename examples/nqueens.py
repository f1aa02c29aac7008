"""Count the ways to place n queens on an n x n board so that none attacks another.

Each safe square of the first rows becomes a task that spawns the next row; deeper rows
are counted serially. Subtrees differ in size, and stealing evens that out. All of it is
Python code, which gains from more workers only on a free-threaded interpreter.

    python examples/nqueens.py 12 --rows 2
"""

import argparse
import sys
from collections.abc import Iterator

from _picture import Picture
from _report import Report, timed

from taskrt import fetch, spawn

PICTURE = Picture()


def placed(n: int, columns: int, left: int, right: int) -> Iterator[tuple[int, ...]]:
    """Yield the attacked columns and diagonals after each safe move in this row."""
    free = ~(columns | left | right) & ((1 << n) - 1)
    while free:
        queen = free & -free
        free ^= queen
        yield columns | queen, (left | queen) << 1, (right | queen) >> 1


def serial(n: int, columns: int = 0, left: int = 0, right: int = 0) -> int:
    """Count the boards that complete this one, by plain calls."""
    if columns == (1 << n) - 1:
        return 1
    return sum(serial(n, *board) for board in placed(n, columns, left, right))


# [nqueens]
def queens(n: int, rows: int, columns: int = 0, left: int = 0, right: int = 0) -> int:
    """Count them with a task for each safe square of the next `rows` rows."""
    if rows == 0:
        return PICTURE.leaf("count", serial, n, columns, left, right)
    boards = placed(n, columns, left, right)
    tasks = [spawn(queens, n, rows - 1, *board) for board in boards]
    return sum(fetch(task) for task in tasks)


# [/nqueens]


def measure(argv: list[str] | None = None) -> Report:
    """Count both ways as the command line `argv` says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=12)
    parser.add_argument("--rows", type=int, default=2, help="rows that spawn")
    args = parser.parse_args(argv)
    base, expected = timed(serial, args.n)
    ours, found = PICTURE.watch(queens, args.n, min(args.rows, args.n))
    title = f"{args.n} queens, {found:,} boards"
    return Report(title, base, {"parallel": ours}, found == expected, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the counts differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
