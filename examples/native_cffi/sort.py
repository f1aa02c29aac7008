"""Sort a million numbers by native tasks in C.

Needs the module that build.py makes.

    python examples/native_cffi/build.py FOLDER
    PYTHONPATH=FOLDER python examples/native_cffi/sort.py
"""

from __future__ import annotations

import array
import random
import sys

# [sort]
from _sort import ffi, lib

from taskrt import native


def sort(numbers: array.array[float]) -> None:
    """Sort the numbers in place."""
    part = ffi.new("part *")
    part.numbers = ffi.from_buffer("double[]", numbers)
    part.size = len(numbers)
    native.run(ffi.addressof(lib, "sort"), part)


# [/sort]


def main(size: int = 1_000_000) -> int:
    """Return 1 if the numbers do not come out sorted."""
    numbers = array.array("d", [random.random() for _ in range(size)])
    expected = sorted(numbers)
    sort(numbers)
    print(f"{size:,} numbers sorted, from {numbers[0]:.6f} to {numbers[-1]:.6f}")
    return numbers.tolist() != expected


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
