"""Multiply matrices in C by halving the longest dimension, with native tasks.

Cache-oblivious: whatever the size of a cache, the pieces fit into it at some depth.
Frigo, Leiserson, Prokop and Ramachandran, FOCS 1999. The serial code is the three loops
of the definition; with whole numbers the sums are exact, and so both have to agree.

    python examples/native/matmul.py 1000
"""

import argparse
import ctypes
import random
import sys
from array import array
from pathlib import Path
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).parents[1]))  # of _report and native

from _report import Report, timed
from native._build import load

import taskrt.native

Matrix: TypeAlias = "array[float]"


# [matmul]
class Data(ctypes.Structure):
    """matmul_data of matmul.c."""

    _fields_ = (
        ("n", ctypes.c_int64),
        ("a", ctypes.c_void_p),
        ("b", ctypes.c_void_p),
        ("c", ctypes.c_void_p),
    )


def matmul(library: ctypes.CDLL, a: Matrix, b: Matrix, c: Matrix, n: int) -> None:
    """Add the product of `a` and `b` to `c`, all `n` by `n`."""
    arrays = [matrix.buffer_info()[0] for matrix in (a, b, c)]
    taskrt.native.run(library.matmul, Data(n, *arrays))


# [/matmul]


def serial(library: ctypes.CDLL, a: Matrix, b: Matrix, c: Matrix, n: int) -> None:
    """Do that by three loops."""
    arrays = [matrix.buffer_info()[0] for matrix in (a, b, c)]
    library.matmul_serial(ctypes.byref(Data(n, *arrays)))


def measure(argv: list[str] | None = None) -> Report:
    """Multiply the same random whole numbers both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=1000, help="rows and columns")
    n = parser.parse_args(argv).n
    library = load("matmul")
    choose = random.Random(1).choices
    a, b = (array("d", choose(range(-9, 10), k=n * n)) for _ in range(2))
    expected, found = (array("d", bytes(8 * n * n)) for _ in range(2))
    base, _ = timed(serial, library, a, b, expected, n)
    ours, _ = timed(matmul, library, a, b, found, n)
    title = f"product of {n:,} x {n:,} matrices"
    return Report(title, base, {"parallel": ours}, found == expected)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the products differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
