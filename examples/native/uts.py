"""Unbalanced tree search in C, with a native task for each node of the tree.

The published benchmark of Olivier, Huan, Liu, Prins, Dinan, Sadayappan and Tseng, LCPC
2006. A node is the SHA-1 of its parent's and of its place among the siblings, which
also says how many children it has: nobody can know how large a subtree is without
visiting it. This is their tree T1, whose size, leaves and depth are known; with less
height, its top.

    python examples/native/uts.py 10
"""

import argparse
import ctypes
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # of _report and native

from _report import Report, timed
from native._build import load

import taskrt.native

SEED, HEIGHT, BRANCHING = 19, 10, 4.0
T1 = (4_130_071, 3_305_118, 10)


# [uts]
class Data(ctypes.Structure):
    """uts_data of uts.c."""

    _fields_ = (
        ("seed", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("branching", ctypes.c_double),
        ("nodes", ctypes.c_int64),
        ("leaves", ctypes.c_int64),
        ("depth", ctypes.c_int64),
    )

    @property
    def found(self) -> tuple[int, int, int]:
        """Return nodes, leaves and depth."""
        return self.nodes, self.leaves, self.depth


def uts(library: ctypes.CDLL, height: int) -> tuple[int, int, int]:
    """Count the nodes and leaves of a tree with a task for each node."""
    data = Data(SEED, height, BRANCHING)
    taskrt.native.run(library.uts, data)
    return data.found


# [/uts]


def serial(library: ctypes.CDLL, height: int) -> tuple[int, int, int]:
    """Count them by plain calls."""
    data = Data(SEED, height, BRANCHING)
    library.uts_serial(ctypes.byref(data))
    return data.found


def measure(argv: list[str] | None = None) -> Report:
    """Visit the tree both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("height", type=int, nargs="?", default=HEIGHT)
    height = parser.parse_args(argv).height
    library = load("uts")
    base, expected = timed(serial, library, height)
    ours, found = timed(uts, library, height)
    equal = found == expected == (T1 if height == HEIGHT else expected)
    nodes, leaves, depth = found
    title = f"a tree of {nodes:,} nodes, {leaves:,} leaves, depth {depth}"
    return Report(title, base, {"parallel": ours}, equal)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the trees differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
