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
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Any, TypeVar, overload

from taskrt.parallel._array_sort import sort_array
from taskrt.parallel._arrays import ArrayLike, is_array
from taskrt.parallel._blocks import Schedule, check_options, run_blocks
from taskrt.parallel._calls import as_sliced, block_of, call_each, check_callable_option

_T = TypeVar("_T")
_A = TypeVar("_A", bound=ArrayLike)

# Parts shorter than these are not worth a task, and more than so many make the runs in
# a range too short to merge well.
_PART_LEAST = 4096
_PARTS_MOST = 64
_SAMPLES = 32  # of a part: ranges then differ by some percent in length

_GIL_IS_ON: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)


@overload
def sort(
    iterable: _A,
    /,
    axis: int | None = -1,
    *,
    kind: str | None = None,
    key: Callable[[_A], Any] | None = None,
    reverse: bool = False,
    out: _A | None = None,
) -> _A: ...
@overload
def sort(
    iterable: Iterable[_T],
    /,
    *,
    key: Callable[[_T], Any] | None = None,
    reverse: bool = False,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> list[_T]: ...
def sort(
    iterable: Any,
    /,
    axis: int | None = -1,
    *,
    kind: str | None = None,
    key: Callable[[Any], Any] | None = None,
    reverse: bool = False,
    out: Any = None,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> Any:
    """Return a new sorted list of the items, as `sorted` does, in parallel.

    A NumPy array is sorted as by `numpy.sort`, along an axis: see below.

    key       what to compare instead of the item; called once for each, in parallel
    reverse   whether to sort downwards; items that compare equal keep their order, too
    grain     items of a part that one thread sorts, 1 or more; None: by their number
    schedule  as for `for_each`

    The options of arrays, which take neither grain nor schedule:

    axis      the axis to sort along, the last one by default; None: all items in a row
    kind      a name that `numpy.sort` knows, or None; every sort is stable
    key       called once, with the whole array; returns one of its shape by which the
              items are ordered
    reverse   whether to sort downwards; NaN and NaT come last in both directions
    out       where the result goes: the array itself, to sort it in place, or another
              of its shape and type that does not overlap it. It is returned

    Items are compared by `<`, as by `list.sort`. With the GIL only the calls of
    the key run in parallel. Where comparisons contradict each other the order is the
    same for every number of threads, but not that of `sorted`.

    Raises the error of a comparison or the key, of the first part if several have;
    TypeError and ValueError for wrong options; AxisError of NumPy; Cancelled. A
    suspension point and a checkpoint; any thread. Source: H. Shi and J. Schaeffer,
    1992; of arrays, see `argsort` and `merge`.

    >>> from taskrt import parallel
    >>> parallel.sort(["b", "A", "c"], key=str.lower, reverse=True)
    ['c', 'b', 'A']
    """
    check_callable_option("sort()", "key", key)
    if is_array(iterable):
        if grain is not None or schedule != "auto":
            raise TypeError("sort(): arrays take neither grain= nor schedule=")
        return sort_array(iterable, axis, kind=kind, key=key, reverse=reverse, out=out)
    if axis != -1 or kind is not None or out is not None:
        raise TypeError(
            "sort(): axis, kind and out are options of NumPy arrays, and this is "
            f"{type(iterable).__name__!r}"
        )
    grain = check_options("sort()", grain, schedule)
    items = as_sliced(iterable)
    alone = _sorts_alone(len(items), grain)
    if key is None:
        if alone:
            return sorted(items, reverse=reverse)
        return _sort_parts(items, None, reverse, grain, schedule)
    keys: list[Any] = [None] * len(items)

    def call_key(low: int, high: int) -> None:
        keys[low:high] = call_each(key, block_of(items, low, high))

    run_blocks(len(items), call_key, grain=grain, schedule=schedule)
    if alone:
        # list.sort asks for the keys of the items in their order: here they are.
        return sorted(items, key=partial(next, iter(keys)), reverse=reverse)
    return _sort_parts(items, keys, reverse, grain, schedule)


def _sorts_alone(length: int, grain: int | None) -> bool:
    """Whether one call of list.sort is best; not by the number of threads."""
    least = 2 * _PART_LEAST if grain is None else grain + 1
    return length < least or _GIL_IS_ON()


def _sort_parts(
    items: Sequence[Any],
    keys: list[Any] | None,
    reverse: bool,
    grain: int | None,
    schedule: Schedule,
) -> list[Any]:
    """Sort in parts; with keys, their places instead, which make no work for the GC."""
    length = len(items if keys is None else keys)
    size = grain or builtins.max(_PART_LEAST, -(-length // _PARTS_MOST))
    source: Sequence[Any] = items if keys is None else range(length)
    key = None if keys is None else keys.__getitem__
    parts: list[list[Any]] = [[]] * -(-length // size)

    def sort_part(number: int) -> None:
        if reverse:  # all is turned round before and after, as by list.sort
            end = length - number * size
            part = list(block_of(source, builtins.max(0, end - size), end))
            part.reverse()
        else:
            low = number * size
            part = list(block_of(source, low, builtins.min(low + size, length)))
        part.sort(key=key)
        parts[number] = part

    _call_each(sort_part, len(parts), schedule)
    cuts = _cut_parts(parts, key, schedule)
    found: list[Any] = [None] * length

    def merge_range(number: int) -> None:
        begin, end = cuts[number], cuts[number + 1]
        merged: list[Any] = []
        for part, low, high in zip(parts, begin, end, strict=True):
            merged += part[low:high]
        merged.sort(key=key)
        found[sum(begin) : sum(end)] = (
            merged if keys is None else _gather(items, merged)
        )

    _call_each(merge_range, len(cuts) - 1, schedule)
    if reverse:
        found.reverse()
    return found


def _cut_parts(
    parts: list[list[Any]], key: Callable[[Any], Any] | None, schedule: Schedule
) -> list[list[int]]:
    """Return where ranges begin in each part, and the ends of the parts at last.

    Items that equal a splitter belong to the range that begins with it, in the order of
    the parts: so equal ones stay together, and list.sort keeps their order.
    """
    splitters = _find_splitters(parts, key)
    cuts: list[list[int]] = [[0] * len(parts)]
    cuts += [[]] * len(splitters)
    cuts.append([len(part) for part in parts])

    def cut(number: int) -> None:
        splitter = splitters[number]
        cuts[number + 1] = [bisect_left(part, splitter, key=key) for part in parts]

    _call_each(cut, len(splitters), schedule)
    # Comparisons that contradict each other may cut before the cut before.
    for before, after in pairwise(cuts):
        after[:] = map(builtins.max, before, after)
    return cuts


def _gather(items: Sequence[Any], places: list[int]) -> Sequence[Any]:
    if len(places) < 2:  # then itemgetter gives no tuple
        return [items[place] for place in places]
    found: tuple[Any, ...] = itemgetter(*places)(items)
    return found


def _call_each(fn: Callable[[int], None], count: int, schedule: Schedule) -> None:
    def body(low: int, high: int) -> None:
        for number in range(low, high):
            fn(number)

    run_blocks(count, body, grain=1, schedule=schedule)


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
