"""A native loop over many numbers, and over few of them again and again."""

import ctypes
from collections.abc import Iterator
from functools import cache

from _measure import Row
from _native import compiled, hold_contest


class Data(ctypes.Structure):
    """loop_data of loop.h."""

    _fields_ = [
        ("n", ctypes.c_int64),
        ("rounds", ctypes.c_int64),
        ("x", ctypes.POINTER(ctypes.c_double)),
    ]


@cache
def numbers(n: int) -> ctypes.Array[ctypes.c_double]:
    """Return so many numbers."""
    return (ctypes.c_double * n)()


def make(size: list[int]) -> Data:
    """Return so many zeros, and how often i is to be added to number i."""
    n, rounds = size
    x = numbers(n)
    ctypes.memset(x, 0, ctypes.sizeof(x))
    return Data(n, rounds, ctypes.cast(x, ctypes.POINTER(ctypes.c_double)))


def is_right(data: Data, _: list[int], serial: ctypes.CDLL) -> bool:
    """Return whether each number is i times the rounds."""
    serial.count_wrong.restype = ctypes.c_int64
    return bool(serial.count_wrong(ctypes.byref(data)) == 0)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with serial code, with itself and with the peers."""
    repeats, more = (5, 1) if quick else (7, 4)
    sizes = ((25_000_000 * more, 1), (10_000, 5_000 * more), (100, 50_000 * more))
    with compiled("native_loop") as libraries:
        for n, rounds in sizes:
            size = [n, rounds]
            found = hold_contest("native_loop", libraries, size=size, repeats=repeats)
            what = f"{n:,} numbers" + f", {rounds:,} times" * (rounds > 1)
            yield found.serial_row(what)
            yield found.scaling_row(what)
            yield from found.peer_rows(what)
