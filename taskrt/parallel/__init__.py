"""Loops and algorithms in parallel, on the threads that all tasks share.

>>> from taskrt import parallel
>>> parallel.map(abs, [-2, 3, -5])
[2, 3, 5]
"""

from taskrt.parallel._eager import for_blocks, for_each, map
from taskrt.parallel._imap import imap
from taskrt.parallel._reduce import reduce, scan, sum
from taskrt.parallel._search import all, any, filter, max, min
from taskrt.parallel._sort import sort

__all__ = [
    "all",
    "any",
    "filter",
    "for_blocks",
    "for_each",
    "imap",
    "map",
    "max",
    "min",
    "reduce",
    "scan",
    "sort",
    "sum",
]
