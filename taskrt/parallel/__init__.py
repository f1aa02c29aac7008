"""Loops and algorithms in parallel, on the threads that all tasks share.

loops     map, starmap, for_each; for_range and for_blocks of indices; chunks, Reducer
streams   imap, whose results come one by one
folds     reduce, scan, sum
searches  filter, any, all, min, max
sorting   sort
arrays    map_blocks, argsort, merge, cumsum; reduce and sort, too

>>> from taskrt import parallel
>>> parallel.map(abs, [-2, 3, -5])
[2, 3, 5]
"""

from taskrt.parallel._array_argsort import argsort
from taskrt.parallel._array_cumsum import cumsum
from taskrt.parallel._array_merge import merge
from taskrt.parallel._chunks import chunks
from taskrt.parallel._eager import for_blocks, for_each, for_range, map, starmap
from taskrt.parallel._imap import imap
from taskrt.parallel._map_blocks import map_blocks
from taskrt.parallel._reduce import reduce, scan, sum
from taskrt.parallel._reducer import Reducer
from taskrt.parallel._search import all, any, filter, max, min
from taskrt.parallel._sort import sort

__all__ = [
    "Reducer",
    "all",
    "any",
    "argsort",
    "chunks",
    "cumsum",
    "filter",
    "for_blocks",
    "for_each",
    "for_range",
    "imap",
    "map",
    "map_blocks",
    "max",
    "merge",
    "min",
    "reduce",
    "scan",
    "sort",
    "starmap",
    "sum",
]
