"""Loops and algorithms in parallel, on the threads that all tasks share.

>>> from taskrt import parallel
>>> parallel.map(abs, [-2, 3, -5])
[2, 3, 5]
"""

from taskrt.parallel._eager import for_blocks, for_each, map

__all__ = ["for_blocks", "for_each", "map"]
