"""Looking for items: filter, any, all, min, max."""

import builtins
import itertools
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, TypeVar

from taskrt.parallel._blocks import Schedule, check_options, run_blocks
from taskrt.parallel._calls import as_sliced, block_of, call_each, check_callable_option
from taskrt.parallel._leaves import Leaves
from taskrt.parallel._missing import MISSING, Missing

_T = TypeVar("_T")
_D = TypeVar("_D")


def filter(
    pred: Callable[[_T], object] | None,
    iterable: Iterable[_T],
    /,
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> list[_T]:
    """Return the items for which pred(item) is true, in order; call it in parallel.

    pred      None: the items that are true themselves
    grain     the most items in a block, 1 or more; None: what takes 50 microseconds
    schedule  as for `for_each`

    Raises the error of pred, of the first block where there are several; TypeError and
    ValueError for wrong options; Cancelled. A suspension point and a checkpoint; any
    thread.

    >>> from taskrt import parallel
    >>> parallel.filter(str.isupper, "Read The Docs")
    ['R', 'T', 'D']
    """
    check_callable_option("filter()", "pred", pred)
    grain = check_options("filter()", grain, schedule)
    items = as_sliced(iterable)
    kept: list[tuple[int, list[_T]]] = []

    def body(low: int, high: int) -> None:
        block = block_of(items, low, high)
        if pred is None:
            kept.append((low, [item for item in block if item]))
        else:
            kept.append((low, [item for item in block if pred(item)]))

    run_blocks(len(items), body, grain=grain, schedule=schedule)
    kept.sort(key=itemgetter(0))
    return list(itertools.chain.from_iterable(builtins.map(itemgetter(1), kept)))


def any(
    iterable: Iterable[Any],
    /,
    *,
    map: Callable[[Any], object] | None = None,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> bool:
    """Return whether an item is true, or map(item), called in parallel until one is.

    Options as of `filter`. Blocks after one where something was true, or has failed,
    are left out; those before it are not: so the outcome, true or an error, is that of
    the first such item, as of the builtin `any`. Raises as `filter`. A suspension point
    and a checkpoint; any thread.

    >>> from taskrt import parallel
    >>> parallel.any(range(100), map=lambda number: number > 90)
    True
    """
    check_callable_option("any()", "map", map)
    grain = check_options("any()", grain, schedule)
    return _find(True, iterable, map, grain, schedule)


def all(
    iterable: Iterable[Any],
    /,
    *,
    map: Callable[[Any], object] | None = None,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> bool:
    """Return whether all items are true, or map(item), called until one is false.

    As `any` in all else.

    >>> from taskrt import parallel
    >>> parallel.all(["a", "b", ""])
    False
    """
    check_callable_option("all()", "map", map)
    grain = check_options("all()", grain, schedule)
    return not _find(False, iterable, map, grain, schedule)


def _find(
    wanted: bool,
    iterable: Iterable[Any],
    map: Callable[[Any], object] | None,
    grain: int | None,
    schedule: Schedule,
) -> bool:
    """Return whether one of the items is as true as is wanted."""
    items = as_sliced(iterable)
    first = len(items)  # block that has decided or failed; written under the GIL or not
    events: list[tuple[int, Exception | None]] = []

    def body(low: int, high: int) -> None:
        nonlocal first
        if low > first:
            return
        try:
            if not _has(wanted, block_of(items, low, high), map):
                return
            events.append((low, None))
        except Exception as error:
            events.append((low, error))
        # Two at once may leave the greater: then too much is done, and no harm.
        first = builtins.min(first, low)

    run_blocks(len(items), body, grain=grain, schedule=schedule)
    if not events:
        return False
    _, error = builtins.min(events, key=itemgetter(0))
    try:
        if error is not None:
            raise error
    finally:
        events.clear()  # errors refer to frames, and those to this
        error = None
    return True


def _has(
    wanted: bool, block: Iterable[Any], map: Callable[[Any], object] | None
) -> bool:
    """Return whether there is one."""
    if map is None:
        return builtins.any(block) if wanted else not builtins.all(block)
    for item in block:  # noqa: SIM110  (StopIteration of map is no end)
        if bool(map(item)) is wanted:
            return True
    return False


def min(
    iterable: Iterable[_T],
    /,
    *,
    key: Callable[[_T], Any] | None = None,
    default: _D | Missing = MISSING,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> _T | _D:
    """Return the least item, or the first with the least key(item), called once each.

    default   what there is to return if there are no items
    grain     items that are compared in one go, 1 or more; None: by their number
    schedule  as for `for_each`

    Raises ValueError if there is neither an item nor a default, and else as `filter`. A
    suspension point and a checkpoint; any thread.

    >>> from taskrt import parallel
    >>> parallel.min([3, -2, 2], key=abs)
    -2
    """
    check_callable_option("min()", "key", key)
    grain = check_options("min()", grain, schedule)
    leaves = Leaves(iterable, grain, schedule)
    found: _T | _D = _pick(builtins.min, "min()", leaves, key, default)
    return found


def max(
    iterable: Iterable[_T],
    /,
    *,
    key: Callable[[_T], Any] | None = None,
    default: _D | Missing = MISSING,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> _T | _D:
    """Return the greatest item, or the first with the greatest key(item).

    As `min` in all else.

    >>> from taskrt import parallel
    >>> parallel.max(range(10), key=lambda number: number % 4)
    3
    """
    check_callable_option("max()", "key", key)
    grain = check_options("max()", grain, schedule)
    leaves = Leaves(iterable, grain, schedule)
    found: _T | _D = _pick(builtins.max, "max()", leaves, key, default)
    return found


def _pick(
    pick: Callable[..., Any],
    who: str,
    leaves: Leaves[Any],
    key: Callable[[Any], Any] | None,
    default: Any,
) -> Any:
    if not leaves.count:
        if default is MISSING:
            raise ValueError(f"{who} of no items: hand over default= for that case")
        return default
    if key is None:
        return pick(leaves.map(lambda number: pick(leaves[number])))

    def pick_keyed(number: int) -> tuple[Any, Any]:
        leaf = leaves[number]
        keys = call_each(key, leaf)
        place = pick(range(len(leaf)), key=keys.__getitem__)
        return keys[place], leaf[place]

    return pick(leaves.map(pick_keyed), key=itemgetter(0))[1]
