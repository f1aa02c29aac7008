"""Sorting of Python objects: stable, by `list.sort` in parallel.

With the GIL comparisons do not run in parallel, and `list.sort` is as good as can be:
then only the key function is called in parallel. Without it the items are sorted in
parts, and the parts are cut at common splitters into ranges, which are merged
independently: `list.sort` finds the sorted runs in a range, and merges them in C.

Parts and splitters follow from the items and the grain alone, so the result does not
depend on the number of threads even where comparisons contradict each other, as those
of NaN do.

Source: parallel sorting by regular sampling, H. Shi and J. Schaeffer, 1992.
"""

import builtins
import itertools
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

from taskrt.parallel._blocks import Schedule, check_options, run_blocks
from taskrt.parallel._leaves import as_sliced

_T = TypeVar("_T")

# Parts shorter than these are not worth a task, and more than so many make the runs in
# a range too short to merge well.
_PART_LEAST = 4096
_PARTS_MOST = 64
_SAMPLES = 32  # of a part: ranges then differ by some percent in length

_GIL_IS_ON: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)


def sort(
    iterable: Iterable[_T],
    /,
    *,
    key: Callable[[_T], Any] | None = None,
    reverse: bool = False,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> list[_T]:
    """Return a new sorted list of the items, as `sorted` does, in parallel.

    key       what to compare instead of the item; called once for each, in parallel
    reverse   whether to sort downwards; items that compare equal keep their order, too
    grain     items of a part that one thread sorts, 1 or more; None: by their number
    schedule  as for `for_range`

    Items are compared by `<`, as by `list.sort`. With the GIL only the calls of
    the key run in parallel. Where comparisons contradict each other the order is the
    same for every number of threads, but not that of `sorted`.

    Raises the error of the first part in which a comparison or the key has failed;
    TypeError and ValueError for wrong options; Cancelled. A suspension point and a
    checkpoint; any thread. Source: H. Shi and J. Schaeffer, 1992.

    >>> from taskrt import parallel
    >>> parallel.sort(["b", "A", "c"], key=str.lower, reverse=True)
    ['c', 'b', 'A']
    """
    check_options("sort()", grain, schedule)
    items = as_sliced(iterable)
    alone = _sorts_alone(len(items), grain)
    if key is None:
        if alone:
            return sorted(items, reverse=reverse)
        return _sort_parts(items, None, reverse, grain, schedule)
    if alone:
        keys = iter(_call_keys(key, items, grain, schedule, pairs=False))
        # list.sort asks for the keys of the items in their order: here they are.
        return sorted(items, key=partial(next, keys), reverse=reverse)
    pairs = _call_keys(key, items, grain, schedule, pairs=True)
    found = _sort_parts(pairs, itemgetter(0), reverse, grain, schedule)
    return [item for _, item in found]


def _call_keys(
    key: Callable[[Any], Any],
    items: Sequence[Any],
    grain: int | None,
    schedule: Schedule,
    pairs: bool,
) -> list[Any]:
    """Return key(item) for each, called in parallel; or pairs of key(item) and item."""
    found: list[Any] = [None] * len(items)

    def call_some(low: int, high: int) -> None:
        block = items[low:high]
        keys = map(key, block)
        found[low:high] = list(zip(keys, block) if pairs else keys)

    run_blocks(len(items), call_some, grain=grain, schedule=schedule)
    return found


def _sorts_alone(length: int, grain: int | None) -> bool:
    """Whether one call of list.sort is best; not by the number of threads."""
    least = 2 * _PART_LEAST if grain is None else grain + 1
    return length < least or _GIL_IS_ON()


def _sort_parts(
    items: Sequence[Any],
    key: Callable[[Any], Any] | None,
    reverse: bool,
    grain: int | None,
    schedule: Schedule,
) -> list[Any]:
    length = len(items)
    size = grain or builtins.max(_PART_LEAST, -(-length // _PARTS_MOST))
    parts: list[list[Any]] = [[]] * -(-length // size)

    def sort_some(low: int, high: int) -> None:
        for number in range(low, high):
            if reverse:  # all is turned round before and after, as by list.sort
                end = length - number * size
                part = list(items[builtins.max(0, end - size) : end])
                part.reverse()
            else:
                part = list(items[number * size : (number + 1) * size])
            part.sort(key=key)
            parts[number] = part

    run_blocks(len(parts), sort_some, grain=1, schedule=schedule)
    splitters = _find_splitters(parts, key)
    ranges: list[list[Any]] = [[]] * (len(splitters) + 1)

    def merge_some(low: int, high: int) -> None:
        for number in range(low, high):
            begin = splitters[builtins.max(0, number - 1) : number]
            end = splitters[number : number + 1]
            ranges[number] = _merge_range(parts, begin, end, key)

    run_blocks(len(ranges), merge_some, grain=1, schedule=schedule)
    merged = list(itertools.chain.from_iterable(ranges))
    if reverse:
        merged.reverse()
    return merged


def _find_splitters(
    parts: list[list[Any]], key: Callable[[Any], Any] | None
) -> list[Any]:
    """Return keys that cut all items into ranges of about the length of a part."""
    samples = []
    for part in parts:
        step = builtins.max(1, len(part) // _SAMPLES)
        samples += part[step // 2 :: step]
    samples.sort(key=key)
    step = builtins.max(1, len(samples) // len(parts))
    found = samples[step::step]
    return found if key is None else [key(place) for place in found]


def _merge_range(
    parts: list[list[Any]],
    begin: list[Any],
    end: list[Any],
    key: Callable[[Any], Any] | None,
) -> list[Any]:
    """Return the items from one splitter to the next, each a list of one, or none.

    Items that equal a splitter belong to the range that begins with it, in the order of
    the parts: so equal ones stay together, and list.sort keeps their order.
    """
    merged: list[Any] = []
    for part in parts:
        low = bisect_left(part, begin[0], key=key) if begin else 0
        high = bisect_left(part, end[0], low, key=key) if end else len(part)
        merged += part[low:high]
    merged.sort(key=key)
    return merged
