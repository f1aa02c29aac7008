"""Loops that return when all is done: for_each, for_range, for_blocks, map, starmap."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack, overload

from taskrt.parallel._blocks import Body, Schedule, check_options, run_loop
from taskrt.parallel._calls import Calls, check_callable, own, pair_up, unpack
from taskrt.parallel._progress import Show, shown
from taskrt.parallel._reducer import Reducer, run_reduced

_R = TypeVar("_R")
_S = TypeVar("_S")
_T1 = TypeVar("_T1")
_T2 = TypeVar("_T2")
_T3 = TypeVar("_T3")

_Init: TypeAlias = Callable[[], _S] | Reducer[_S]


class _Options(TypedDict, total=False):
    """Options of all loops, for type checkers: with the types that functions give."""

    grain: int | None
    schedule: Schedule
    progress: bool | str | Show


def _run(
    who: str,
    length: int,
    start: Callable[[tuple[Any, ...]], Body],
    grain: int | None,
    schedule: Schedule,
    init: _Init[Any] | None,
    progress: bool | str | Show,
) -> None:
    """Run a loop with the options that all of them have.

    start  called by each task with what goes before the items in each call: returns
           the body
    """
    with shown(who, progress, length) as counted:
        if init is None:
            run_loop(length, lambda: counted(start(())), grain=grain, schedule=schedule)
        elif isinstance(init, Reducer):
            run_reduced(
                init, length, lambda part: counted(start(part)), grain, schedule
            )
        else:
            make = init
            run_loop(
                length,
                lambda: counted(start((make(),))),
                grain=grain,
                schedule=schedule,
            )


def _check(
    who: str, grain: int | None, schedule: Schedule, init: _Init[Any] | None
) -> int | None:
    """Return the grain; raise what is wrong with it or the others."""
    grain = check_options(who, grain, schedule)
    if init is not None and not isinstance(init, Reducer) and not callable(init):
        raise TypeError(
            f"{who}: init must be a callable, a Reducer or None, not "
            f"{type(init).__name__!r}"
        )
    return grain


def _call(
    who: str,
    calls: Calls,
    results: list[Any] | None,
    grain: int | None,
    schedule: Schedule,
    init: _Init[Any] | None,
    progress: bool | str | Show,
) -> None:
    _run(
        who,
        calls.length,
        lambda scratch: calls.body(results, scratch),
        grain,
        schedule,
        init,
        progress,
    )


@overload
def for_each(
    fn: Callable[[_T1], object],
    iterable: Iterable[_T1],
    /,
    *,
    strict: bool = ...,
    init: None = ...,
    **options: Unpack[_Options],
) -> None: ...
@overload
def for_each(
    fn: Callable[[_T1, _T2], object],
    first: Iterable[_T1],
    second: Iterable[_T2],
    /,
    *,
    strict: bool = ...,
    init: None = ...,
    **options: Unpack[_Options],
) -> None: ...
@overload
def for_each(
    fn: Callable[[_S, _T1], object],
    iterable: Iterable[_T1],
    /,
    *,
    strict: bool = ...,
    init: _Init[_S],
    **options: Unpack[_Options],
) -> None: ...
@overload
def for_each(
    fn: Callable[..., object],
    first: Iterable[Any],
    second: Iterable[Any],
    third: Iterable[Any],
    /,
    *more: Iterable[Any],
    strict: bool = ...,
    init: None = ...,
    **options: Unpack[_Options],
) -> None: ...
@overload
def for_each(
    fn: Callable[..., object],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    strict: bool = ...,
    init: _Init[Any],
    **options: Unpack[_Options],
) -> None: ...
def for_each(
    fn: Callable[..., object],
    /,
    *iterables: Iterable[Any],
    strict: bool = False,
    grain: int | None = None,
    schedule: Schedule = "auto",
    init: _Init[Any] | None = None,
    progress: bool | str | Show = False,
) -> None:
    """Call fn(item) for each item, in parallel; return when all calls have.

    iterables  one, or several whose items are taken together as by zip(). Lists,
               tuples, ranges, strings, bytes and arrays are read where they are and
               must stay as they are; of others a list is made first
    strict     whether to raise ValueError if they are not equally long
    grain      the most items that one task takes at a time; None: as many as take about
               50 microseconds, or one
    schedule   "auto": items go to whoever is free; "static": each thread has one part
               of the same length; "greedy": items are begun in their order, by whoever
               is free; "serial": all are called here, by this task
    init       called by each task that works on the loop, for a value that only its
               calls get: fn(value, item). A `Reducer`: what the values add up to
    progress   True: show a bar of tqdm; a str: with that label; a callable: call
               progress(done, total) at most ten times a second, and at the end

    What fn returns is dropped. Which thread calls it for which items, and in which
    order, is open. Loops may be nested, to any depth, and started by any thread.

    When a call fails no further block of items begins; those that have go on to their
    end. Then raises the error of the lowest item that failed, itself, with a note on
    the others, which count as observed. If the caller is cancelled or interrupted, so
    are the others, and all are waited for. Raises TypeError or ValueError for other
    arguments, ImportError for a bar without tqdm, and what iterating, init and progress
    raise. A suspension point, and a checkpoint before each block of items; any thread.
    Source: steal half, D. Hendler and N. Shavit, PODC 2002.

    >>> from taskrt import parallel
    >>> squares = {}
    >>> def add(n):
    ...     squares[n] = n * n
    >>> parallel.for_each(add, [1, 2, 3])
    >>> sorted(squares.values())
    [1, 4, 9]
    """
    who = "for_each()"
    grain = _check(who, grain, schedule, init)
    calls = pair_up(who, fn, iterables, strict)
    _call(who, calls, None, grain, schedule, init, progress)


@overload
def map(
    fn: Callable[[_T1], _R],
    iterable: Iterable[_T1],
    /,
    *,
    strict: bool = ...,
    init: None = ...,
    **options: Unpack[_Options],
) -> list[_R]: ...
@overload
def map(
    fn: Callable[[_T1, _T2], _R],
    first: Iterable[_T1],
    second: Iterable[_T2],
    /,
    *,
    strict: bool = ...,
    init: None = ...,
    **options: Unpack[_Options],
) -> list[_R]: ...
@overload
def map(
    fn: Callable[[_T1, _T2, _T3], _R],
    first: Iterable[_T1],
    second: Iterable[_T2],
    third: Iterable[_T3],
    /,
    *,
    strict: bool = ...,
    init: None = ...,
    **options: Unpack[_Options],
) -> list[_R]: ...
@overload
def map(
    fn: Callable[[_S, _T1], _R],
    iterable: Iterable[_T1],
    /,
    *,
    strict: bool = ...,
    init: _Init[_S],
    **options: Unpack[_Options],
) -> list[_R]: ...
@overload
def map(
    fn: Callable[..., _R],
    first: Iterable[Any],
    second: Iterable[Any],
    third: Iterable[Any],
    fourth: Iterable[Any],
    /,
    *more: Iterable[Any],
    strict: bool = ...,
    init: None = ...,
    **options: Unpack[_Options],
) -> list[_R]: ...
@overload
def map(
    fn: Callable[..., _R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    strict: bool = ...,
    init: _Init[Any],
    **options: Unpack[_Options],
) -> list[_R]: ...
def map(
    fn: Callable[..., Any],
    /,
    *iterables: Iterable[Any],
    strict: bool = False,
    grain: int | None = None,
    schedule: Schedule = "auto",
    init: _Init[Any] | None = None,
    progress: bool | str | Show = False,
) -> list[Any]:
    """Call fn(item) for each item, in parallel; return the list of results, in order.

    Arguments, errors and waits are those of `for_each`.

    >>> from taskrt import parallel
    >>> parallel.map(abs, [-2, 3, -5])
    [2, 3, 5]
    >>> parallel.map(pow, [2, 3, 4], [10, 3, 2])
    [1024, 27, 16]
    """
    who = "map()"
    grain = _check(who, grain, schedule, init)
    calls = pair_up(who, fn, iterables, strict)
    results: list[Any] = [None] * calls.length
    _call(who, calls, results, grain, schedule, init, progress)
    return results


def starmap(
    fn: Callable[..., _R],
    iterable: Iterable[Iterable[Any]],
    /,
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
    init: _Init[Any] | None = None,
    progress: bool | str | Show = False,
) -> list[_R]:
    """Call fn(*item) for each item, in parallel; return the list of results, in order.

    With `init`, fn(value, *item). Arguments, errors and waits are those of `for_each`.

    >>> from taskrt import parallel
    >>> parallel.starmap(pow, [(2, 10), (3, 3)])
    [1024, 27]
    """
    who = "starmap()"
    grain = _check(who, grain, schedule, init)
    calls = unpack(who, fn, iterable)
    results: list[Any] = [None] * calls.length
    _call(who, calls, results, grain, schedule, init, progress)
    return results


@overload
def for_range(
    fn: Callable[[int], object],
    start: int,
    stop: int | None = ...,
    step: int = ...,
    /,
    *,
    init: None = ...,
    **options: Unpack[_Options],
) -> None: ...
@overload
def for_range(
    fn: Callable[[_S, int], object],
    start: int,
    stop: int | None = ...,
    step: int = ...,
    /,
    *,
    init: _Init[_S],
    **options: Unpack[_Options],
) -> None: ...
def for_range(
    fn: Callable[..., object],
    start: int,
    stop: int | None = None,
    step: int = 1,
    /,
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
    init: _Init[Any] | None = None,
    progress: bool | str | Show = False,
) -> None:
    """Call fn(i) for each i of range(start, stop, step), in parallel.

    With one number, of range(number). Options, errors and waits are those of
    `for_each`; TypeError or ValueError too for what is no range.

    >>> from taskrt import parallel
    >>> table = [0] * 6
    >>> parallel.for_range(lambda i: table.__setitem__(i, i * i), 1, 6, 2)
    >>> table
    [0, 1, 0, 9, 0, 25]
    """
    who = "for_range()"
    grain = _check(who, grain, schedule, init)
    check_callable(who, fn)
    calls = pair_up(who, fn, (_range(who, start, stop, step),), False)
    _call(who, calls, None, grain, schedule, init, progress)


def _range(who: str, start: int, stop: int | None, step: int = 1) -> range:
    if stop is None:
        if step != 1:
            raise TypeError(f"{who} takes a step after start and stop only")
        start, stop = 0, start
    for number in (start, stop, step):
        if not hasattr(number, "__index__"):
            raise TypeError(
                f"{who} takes integers after the function, not "
                f"{type(number).__name__!r}; for items there is for_each()"
            )
    return range(start, stop, step)


@overload
def for_blocks(
    fn: Callable[[int, int], object],
    start: int,
    stop: int | None = ...,
    /,
    *,
    init: None = ...,
    **options: Unpack[_Options],
) -> None: ...
@overload
def for_blocks(
    fn: Callable[[_S, int, int], object],
    start: int,
    stop: int | None = ...,
    /,
    *,
    init: _Init[_S],
    **options: Unpack[_Options],
) -> None: ...
def for_blocks(
    fn: Callable[..., object],
    start: int,
    stop: int | None = None,
    /,
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
    init: _Init[Any] | None = None,
    progress: bool | str | Show = False,
) -> None:
    """Call fn(low, high) for blocks that together make range(start, stop), in parallel.

    start  the first index; with one number, the end: of range(number)
    stop   the one after the last; there is no call if it is not greater
    grain  the most indices in a block, 1 or more; None: as many as take about 50
           microseconds, which the loop learns from the blocks before

    For bodies that do a block at once, with slices of arrays. No block is empty, and
    which there are depends on the threads. With `init`, fn(value, low, high). Other
    options, errors and waits are those of `for_each`. Source: TBB's blocked_range.

    >>> from taskrt import parallel
    >>> squares = [0] * 5
    >>> def fill(low, high):
    ...     squares[low:high] = [i * i for i in range(low, high)]
    >>> parallel.for_blocks(fill, 0, 5)
    >>> squares
    [0, 1, 4, 9, 16]
    """
    who = "for_blocks()"
    grain = _check(who, grain, schedule, init)
    check_callable(who, fn)
    indices = _range(who, start, stop)
    first = indices.start

    def begin(scratch: tuple[Any, ...]) -> Body:
        body = own(fn)
        if scratch:
            return lambda low, high: body(*scratch, first + low, first + high)
        return lambda low, high: body(first + low, first + high)

    _run(who, max(0, indices.stop - first), begin, grain, schedule, init, progress)
