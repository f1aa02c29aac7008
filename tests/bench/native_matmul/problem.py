"""A matrix product by halving the longest dimension, with native tasks."""

import ctypes
from collections.abc import Iterator
from functools import cache

from _measure import Row
from _native import compiled, hold_contest


class Data(ctypes.Structure):
    """matmul_data of matmul.h."""

    _fields_ = [
        ("n", ctypes.c_int64),
        ("a", ctypes.POINTER(ctypes.c_double)),
        ("b", ctypes.POINTER(ctypes.c_double)),
        ("c", ctypes.POINTER(ctypes.c_double)),
    ]


@cache
def matrices(n: int) -> tuple[ctypes.Array[ctypes.c_double], ...]:
    """Return a with i + k in row i and column k, b with k - j, and space for c."""
    square = ctypes.c_double * (n * n)
    a = square(*(i + k for i in range(n) for k in range(n)))
    b = square(*(k - j for k in range(n) for j in range(n)))
    return a, b, square()


def make(size: int) -> Data:
    """Return the matrices, and nothing in c."""
    *_, c = arrays = matrices(size)
    ctypes.memset(c, 0, ctypes.sizeof(c))
    double = ctypes.POINTER(ctypes.c_double)
    return Data(size, *(ctypes.cast(array, double) for array in arrays))


def is_right(data: Data, _: int, serial: ctypes.CDLL) -> bool:
    """Return whether each number in c is the one that algebra says."""
    serial.count_wrong.restype = ctypes.c_int64
    return bool(serial.count_wrong(ctypes.byref(data)) == 0)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with serial code, with itself and with the peers."""
    n, repeats = (300, 5) if quick else (1000, 5)
    what = f"{n:,} x {n:,}"
    with compiled("native_matmul") as libraries:
        found = hold_contest("native_matmul", libraries, size=n, repeats=repeats)
        yield found.serial_row(what)
        yield found.scaling_row(what, None if quick else 1.9)
        yield from found.peer_rows(what)
