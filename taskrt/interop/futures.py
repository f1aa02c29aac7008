"""An executor of `concurrent.futures` whose calls are tasks.

>>> from taskrt.interop.futures import TaskExecutor
>>> with TaskExecutor() as executor:
...     future = executor.submit(pow, 2, 10)
...     print(future.result(), list(executor.map(abs, [-1, 2])))
1024 [1, 2]
"""

import atexit
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from itertools import chain, islice, repeat
from time import monotonic
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from taskrt.interop._future import TaskFuture
from taskrt.interop._initializer import Initializer
from taskrt.interop._members import Members
from taskrt.parallel._calls import check_callable
from taskrt.parallel._feed import Columns, Feed, OrderedFeed

__all__ = ["TaskExecutor"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Items that stay as they are whatever their owner does. Not subclasses.
_CONSTANT = (range, tuple, str, bytes)

# Results of a block that are let go of one by one; of longer ones, which are cheap, all
# at the end of the block.
_FEW = 64


class _Results(chain[_R]):
    """What `map` returns: an iterator over the results, by whole blocks in C."""

    _blocks: Generator[Iterable[_R], None, None]
    _feed: Feed[_R]

    def close(self) -> None:
        """Take no more results: calls that have not begun are cancelled."""
        self._blocks.close()
        self._feed.cut()


class TaskExecutor(Executor):
    """Run calls as tasks, by the interface of `concurrent.futures`.

    max_workers         how many calls run at once, at most, 1 or more; None: as many as
                        there are threads, see `num_threads`, which is the most in any
                        case. A call that waits in a call of taskrt does not count. The
                        threads are those of all tasks: an executor has none of its own
    thread_name_prefix  the name of its tasks, for messages and dumps; the threads have
                        names of their own
    initializer         called with `initargs` in each thread before its first call of
                        this executor. If it raises, that and all other calls fail with
                        `BrokenThreadPool`, and so does `submit` from then on
    initargs            a tuple

    As `concurrent.futures.ThreadPoolExecutor`, but for this. A call may wait for others
    of the same executor, to any depth: `result` lets tasks run meanwhile. It sees a
    copy of the context variables of who has submitted it. Calls that block their
    threads for one another, by other means than those of taskrt, need as many threads
    as they are. With `max_workers` calls are under the limits around the place where
    the executor was made; without, where they are submitted, see `limit`.

    The end of the process waits for calls that were submitted, and so does `shutdown`;
    an executor that nobody refers to any more ends when its calls have. In a forked
    child it begins anew, without the parent's calls. Raises ValueError or TypeError for
    other arguments. Not a suspension point; any thread.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError(
                f"max_workers must be greater than 0, or None for as many as there are "
                f"threads; not {max_workers!r}"
            )
        self._initializer = (
            None if initializer is None else Initializer(initializer, initargs)
        )
        self._max_workers = max_workers
        self._members = Members(max_workers, thread_name_prefix or None)
        self._spawn = self._members.roster._spawn
        _keep_till_exit(self)

    @property
    def _broken(self) -> str | bool:
        return (self._initializer is not None and self._initializer.broken) or False

    def submit(
        self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> TaskFuture[_R]:
        """Have fn(*args, **kwargs) called in a task; return its future.

        Raises TypeError if fn is not callable, RuntimeError after `shutdown` and once
        the process has ended its tasks, BrokenThreadPool if the initializer has failed.
        Not a suspension point; any thread.
        """
        initializer = self._initializer
        if initializer is None:
            task = self._spawn(fn, *args, **kwargs)
        else:
            check_callable("submit()", fn)
            initializer.check()
            task = self._spawn(initializer.call, fn, *args, **kwargs)
        if task is None:
            self._refuse()
        return TaskFuture(task)

    def map(
        self,
        fn: Callable[..., _R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
    ) -> Iterator[_R]:
        """Call fn(item) for each item; return an iterator over the results, in order.

        iterables   one, or several whose items are taken together as by zip()
        timeout     seconds from now until `next` raises TimeoutError; None: never
        chunksize   how many calls are made by one task, 1 or more; None: as many as
                    take about 200 microseconds. 1 for calls that wait for each other
        buffersize  how many items at most are taken from the iterables whose results
                    were not, 1 or more; None: all are taken now

        All calls are made, whether results are taken or not. An error of fn is raised
        in place of its result; that, and an iterator that is closed, or dropped when
        some results were taken, cancel the calls that have not begun. `next` is a
        suspension point and a checkpoint, where it has to wait. Raises what `submit`
        raises.
        """
        end = None if timeout is None else timeout + monotonic()
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"chunksize must be >= 1, or None, not {chunksize!r}")
        if buffersize is not None:
            _check_buffersize(buffersize)
            return self._map_buffered(fn, iterables, end, buffersize)
        check_callable("map()", fn)
        call = fn
        if self._initializer is not None:
            self._initializer.check()
            call = partial(self._initializer.call, fn)
        columns, starred = _take_all(iterables)
        feed: OrderedFeed[_R] = OrderedFeed(
            self._members.roster,
            call,
            Columns(columns, exact=chunksize is not None),
            starred=starred,
            grain=chunksize,
        )
        self._members.add_map(feed)
        if not feed.start():
            self._refuse()
        blocks = _take_blocks(feed, end)
        results = cast(_Results[_R], _Results.from_iterable(blocks))
        results._blocks = blocks
        results._feed = feed
        return results

    def _map_buffered(
        self,
        fn: Callable[..., _R],
        iterables: tuple[Iterable[Any], ...],
        end: float | None,
        buffersize: int,
    ) -> Iterator[_R]:
        items = zip(*iterables)
        futures = [self.submit(fn, *args) for args in islice(items, buffersize)]
        return _take_buffered(weakref.ref(self), fn, items, futures, end)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls.

        wait            whether to wait for those that were submitted, and for the
                        callbacks of their futures
        cancel_futures  whether to cancel those that have not begun

        Again: does that again. A suspension point with `wait`; any thread, and a task
        of the executor without it.
        """
        self._members.close()
        if cancel_futures:
            self._members.cancel()
        if wait:
            self._members.wait()

    def _refuse(self) -> NoReturn:
        raise RuntimeError(
            "cannot schedule new futures after "
            + ("interpreter shutdown" if _is_over.is_set() else "shutdown")
        )


_living: weakref.WeakSet[TaskExecutor] = weakref.WeakSet()
_hooks: list[object] = []
_is_over = threading.Event()


def _keep_till_exit(executor: TaskExecutor) -> None:
    """See that it accepts nothing once the process has ended its tasks."""
    _living.add(executor)
    if not _hooks:
        _hooks.append(atexit.register(_close_all))


def _close_all() -> None:
    _is_over.set()
    for executor in list(_living):
        executor._members.close()


def _check_buffersize(buffersize: int) -> None:
    if not isinstance(buffersize, int):
        raise TypeError("buffersize must be an integer or None")
    if buffersize < 1:
        raise ValueError("buffersize must be None or > 0")


def _take_all(iterables: tuple[Iterable[Any], ...]) -> tuple[tuple[Any, ...], bool]:
    """Return the items as sequences of our own, and whether they are tuples of several.

    Some may go on for ever: whoever ends first ends all.
    """
    if len(iterables) == 1 or all(type(items) in _CONSTANT for items in iterables):
        columns = [
            items if type(items) in _CONSTANT else list(items) for items in iterables
        ]
        return tuple(columns) or ((),), False
    return (list(zip(*iterables)),), True


def _take_blocks(
    feed: Feed[_R], end: float | None
) -> Generator[Iterable[_R], None, None]:
    """Yield the results by the block, raise an error in its place."""
    try:
        while (parts := feed.take(end)) is not None:
            for results, error in parts:
                if len(results) > _FEW:
                    yield results
                else:
                    results.reverse()
                    yield map(list.pop, repeat(results, len(results)))
                if error is not None:
                    try:
                        raise error
                    finally:
                        del error, parts  # its traceback refers to this frame
    finally:
        feed.cut()


def _take_buffered(
    executor: "weakref.ref[TaskExecutor]",
    fn: Callable[..., _R],
    items: Iterator[tuple[Any, ...]],
    futures: list[TaskFuture[_R]],
    end: float | None,
) -> Generator[_R, None, None]:
    try:
        futures.reverse()
        while futures:
            living = executor()
            if living is not None and (args := next(items, None)) is not None:
                futures.insert(0, living.submit(fn, *args))
            del living
            yield _take_result(futures.pop(), end)
    finally:
        for future in futures:
            future.cancel()


def _take_result(future: TaskFuture[_R], end: float | None) -> _R:
    try:
        return future.result(None if end is None else end - monotonic())
    finally:
        future.cancel()
        del future  # whose error's traceback refers to this frame
