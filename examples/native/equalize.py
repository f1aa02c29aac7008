"""Equalize a dark picture in C: a reduction and a loop, both begun by Python.

The reduction counts how often each of 256 grey levels occurs: an accumulator is 256
counts, and no two threads write to the same. The loop gives each pixel the level that
spreads them over the whole range.

    python examples/native/equalize.py 64000000
"""

import argparse
import ctypes
import random
import sys
from array import array
from itertools import accumulate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # of _report and native

from _report import Report, timed
from native._build import load

from taskrt import native

LEVELS = 256
GRAIN = 1 << 16  # pixels in a part: far more than the counts that are then added


# [equalize]
class Data(ctypes.Structure):
    """map_data of equalize.c."""

    _fields_ = (("pixels", ctypes.c_void_p), ("levels", ctypes.c_uint8 * LEVELS))


def equalize(library: ctypes.CDLL, pixels: bytearray) -> None:
    """Map the pixels so that all levels are about equally frequent."""
    size = len(pixels)
    counts = array("q", [0]) * LEVELS
    native.reduce(library.count, library.add, 0, size, counts, pixels, grain=GRAIN)
    levels = [(LEVELS - 1) * seen // max(size, 1) for seen in accumulate(counts)]
    there = (ctypes.c_uint8 * size).from_buffer(pixels)  # keeps them in place
    data = Data(ctypes.addressof(there), (ctypes.c_uint8 * LEVELS)(*levels))
    native.for_range(library.map, 0, size, data, grain=GRAIN)


# [/equalize]


def serial(library: ctypes.CDLL, pixels: bytearray) -> None:
    """Do that by two loops."""
    there = (ctypes.c_uint8 * len(pixels)).from_buffer(pixels)
    library.equalize_serial(there, ctypes.c_int64(len(pixels)))


def measure(argv: list[str] | None = None) -> Report:
    """Equalize the same random pixels, dark ones, both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", type=int, nargs="?", default=64_000_000)
    size = parser.parse_args(argv).size
    library = load("equalize")
    dark = bytes(level**2 // LEVELS // 2 for level in range(LEVELS))
    expected = bytearray(random.Random(1).randbytes(size).translate(dark))
    found = bytearray(expected)
    base, _ = timed(serial, library, expected)
    ours, _ = timed(equalize, library, found)
    title = f"equalizing {size:,} pixels"
    return Report(title, base, {"parallel": ours}, found == expected)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the pictures differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
