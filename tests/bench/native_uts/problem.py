"""Unbalanced tree search, the published tree T1, with a native task for each node."""

import ctypes
import hashlib
import math
from collections.abc import Iterator
from functools import cache

from _measure import Row
from _native import compiled, hold_contest

SEED, HEIGHT, BRANCHING = 19, 10, 4
T1 = (4_130_071, 3_305_118, 10)  # nodes, leaves and depth, as published with UTS


class Data(ctypes.Structure):
    """uts_data of uts.h."""

    _fields_ = [
        ("seed", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("branching", ctypes.c_double),
        ("nodes", ctypes.c_int64),
        ("leaves", ctypes.c_int64),
        ("depth", ctypes.c_int64),
    ]


def make(size: int) -> Data:
    """Return the tree T1, cut off below so many levels."""
    return Data(SEED, size, BRANCHING)


def is_right(data: Data, size: int, _: object) -> bool:
    """Return whether nodes, leaves and depth are right."""
    return (data.nodes, data.leaves, data.depth) == tree(size)


@cache
def tree(height: int) -> tuple[int, int, int]:
    """Return what is published, or found by Python's own SHA-1, level by level."""
    if height == HEIGHT:
        return T1
    level = [hashlib.sha1(bytes(16) + SEED.to_bytes(4, "big")).digest()]
    nodes = leaves = depth = 0
    while level:
        counts = [children(node) if depth < height else 0 for node in level]
        nodes += len(level)
        leaves += counts.count(0)
        level = [
            hashlib.sha1(node + i.to_bytes(4, "big")).digest()
            for node, count in zip(level, counts)
            for i in range(count)
        ]
        depth += bool(level)
    return nodes, leaves, depth


def children(node: bytes) -> int:
    """Return how many children a node has above the last level."""
    drawn = int.from_bytes(node[16:], "big") & 0x7FFFFFFF
    return int(math.log(1 - drawn / 2**31) / math.log(1 - 1 / (1 + BRANCHING)))


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with serial code, with itself and with the peers."""
    height, repeats = (6, 5) if quick else (HEIGHT, 5)
    what = "T1" if height == HEIGHT else f"the top {height} levels of T1"
    with compiled("native_uts") as libraries:
        found = hold_contest("native_uts", libraries, size=height, repeats=repeats)
        yield found.serial_row(what)
        yield found.scaling_row(what, None if quick else 1.9)
        yield from found.peer_rows(what)
