"""Loops and algorithms in parallel, on the threads that all tasks share.

>>> from taskrt import parallel
>>> parallel.map(abs, [-2, 3, -5])
[2, 3, 5]
"""

from taskrt.parallel._chunks import chunks
from taskrt.parallel._eager import for_blocks, for_each, for_range, map, starmap
from taskrt.parallel._reducer import Reducer

__all__ = [
    "Reducer",
    "chunks",
    "for_blocks",
    "for_each",
    "for_range",
    "map",
    "starmap",
]
