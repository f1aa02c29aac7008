"""Loops that return when all is done: for_each, for_range, for_blocks, map, starmap."""

import builtins
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from taskrt.parallel._blocks import Schedule, check_options, run_blocks

_R = TypeVar("_R")

# What gives at [low:high] what iteration gives there. Not subclasses: they may differ.
_SLICED = (range, list, tuple, str, bytes, bytearray, memoryview, array)


def _as_sliced(iterable: Iterable[Any]) -> Sequence[Any]:
    items: Any = iterable
    return items if type(items) in _SLICED else list(items)


def for_blocks(
    fn: Callable[[int, int], object],
    start: int,
    stop: int,
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> None:
    """Call fn(low, high) in parallel for blocks that together cover range(start, stop).

    >>> from taskrt import parallel
    >>> parallel.for_blocks(lambda low, high: None, 0, 10)
    """
    check_options("for_blocks()", grain, schedule)
    run_blocks(
        stop - start,
        lambda low, high: fn(start + low, start + high),
        grain=grain,
        schedule=schedule,
    )


def for_each(
    fn: Callable[[Any], object],
    iterable: Iterable[Any],
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> None:
    """Call fn(item) in parallel for each item.

    >>> from taskrt import parallel
    >>> parallel.for_each(abs, range(10))
    """
    check_options("for_each()", grain, schedule)
    items = _as_sliced(iterable)

    def body(low: int, high: int) -> None:
        for item in items[low:high]:
            fn(item)

    run_blocks(len(items), body, grain=grain, schedule=schedule)


def map(
    fn: Callable[[Any], _R],
    iterable: Iterable[Any],
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> list[_R]:
    """Call fn(item) in parallel for each item; return the results in order.

    >>> from taskrt import parallel
    >>> parallel.map(abs, [-2, 3, -5])
    [2, 3, 5]
    """
    check_options("map()", grain, schedule)
    items = _as_sliced(iterable)
    results: list[Any] = [None] * len(items)

    def body(low: int, high: int) -> None:
        results[low:high] = builtins.map(fn, items[low:high])

    run_blocks(len(items), body, grain=grain, schedule=schedule)
    return results
