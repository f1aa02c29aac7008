"""Going through the runs of an array along its last axis, and merge sort of one run."""

from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from math import prod
from typing import TypeAlias

from taskrt.parallel._array_merge import (
    Before,
    MergePiece,
    Piece,
    cut_merge,
    merge_pieces,
    piece_size,
)
from taskrt.parallel._arrays import (
    Array,
    DType,
    cut,
    longest_axis,
    shares_work,
    workers,
)
from taskrt.parallel._blocks import run_blocks

# Items of a run that all threads work on together. Shorter ones are for one thread
# each, blocks of about BLOCK items at a time.
LONG = 1 << 15
BLOCK = 1 << 15

# Works on what is at the same place in two arrays: on one run with so many parts, or on
# a block of short runs.
OneRun: TypeAlias = Callable[[Array, Array, int], None]
Block: TypeAlias = Callable[[Array, Array], None]


def work_on_runs(a: Array, b: Array, run: OneRun, block: Block) -> None:
    """Work on two arrays of one shape, run by run along their last axis.

    Which of the two functions is called depends on the length of a run alone.
    """
    if a.size == 0:
        return
    length, outer = a.shape[-1], a.shape[:-1]
    rows = prod(outer)
    if length >= LONG:
        parts = count_parts(length, a.dtype) if rows < 4 * workers() else 1
        places = list(import_module("numpy").ndindex(*outer))

        def work_on_some(low: int, high: int) -> None:
            for place in places[low:high]:
                run(a[place], b[place], parts)

        run_blocks(rows, work_on_some, grain=1)
    elif not outer or not shares_work(a.dtype):
        block(a, b)
    else:
        axis = longest_axis(outer)
        each = a.size // outer[axis]

        def work_on_block(low: int, high: int) -> None:
            here = cut(axis, low, high)
            block(a[here], b[here])

        run_blocks(outer[axis], work_on_block, grain=max(1, BLOCK // each))


def count_parts(length: int, dtype: DType) -> int:
    """Return into how many parts to cut a run to be sorted: a power of two.

    Twice as many as threads, so that one that is late leaves something to the others.
    """
    if not shares_work(dtype) or workers() == 1:
        return 1
    wanted = min(2 * workers(), length // (LONG // 4))
    return 1 << max(0, wanted.bit_length() - 1)


def merge_sort(
    buffers: tuple[Array, Array],
    parts: int,
    sort_part: Callable[[int, int, Array], None],
    before: Callable[[Array, Array], Before],
    merge_piece: MergePiece,
) -> None:
    """Sort by merging: the result is in the first of two buffers of one length.

    parts        a power of two
    sort_part    called with where a part begins and ends, and where it is to go
    before       called with two runs: returns what tells their order, see `comparison`
    merge_piece  merges a piece of two such runs into a third place
    """
    length = len(buffers[0])
    ends = [length * k // parts for k in range(parts + 1)]
    rounds = parts.bit_length() - 1
    source, target = buffers if rounds % 2 == 0 else buffers[::-1]

    def sort_some(first: int, last: int) -> None:
        for low, high in pairwise(ends[first : last + 1]):
            sort_part(low, high, source[low:high])

    run_blocks(parts, sort_some, grain=1)
    size = piece_size(length, target.dtype)
    for _ in range(rounds):
        pieces: list[Piece] = []
        for low, middle, high in zip(ends[:-1:2], ends[1::2], ends[2::2], strict=True):
            left, right = source[low:middle], source[middle:high]
            order = before(left, right)
            pieces += cut_merge(left, right, target[low:high], size, order)
        merge_pieces(pieces, merge_piece)
        ends = ends[::2]
        source, target = target, source
