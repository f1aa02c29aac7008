"""Queens on a board, with a native task for each square of all rows, or of four."""

import ctypes
from collections.abc import Iterator

from _measure import Row
from _native import compiled, hold_contest

BOARDS = {10: 724, 13: 73712, 14: 365596}  # sequence A000170 of the OEIS


class Data(ctypes.Structure):
    """queens_data of queens.h."""

    _fields_ = [
        ("n", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("boards", ctypes.c_int64),
    ]


def make(size: list[int]) -> Data:
    """Return the size of the board, and how many of its rows spawn."""
    return Data(*size, -1)


def is_right(data: Data, size: list[int], _: object) -> bool:
    """Return whether the boards are as many as they are known to be."""
    return bool(data.boards == BOARDS[size[0]])


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with serial code, with itself and with the peers."""
    every, above, repeats = (10, 13, 5) if quick else (13, 14, 7)
    with compiled("native_nqueens") as libraries:
        for n, spawning in ((every, every), (above, 4)):
            size = [n, spawning]
            found = hold_contest(
                "native_nqueens", libraries, size=size, repeats=repeats
            )
            what = f"{n} queens, tasks at {'all' if n == spawning else spawning} rows"
            yield found.serial_row(what)
            yield found.scaling_row(what, None if quick else 1.9)
            yield from found.peer_rows(what)
