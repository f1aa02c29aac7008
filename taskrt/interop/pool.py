"""A pool with the interface of `multiprocessing.pool.ThreadPool`; calls are tasks.

>>> from taskrt.interop.pool import Pool
>>> with Pool() as pool:
...     print(pool.map(abs, [-1, 2]), pool.apply(pow, (2, 10)))
[1, 2] 1024
"""

import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from taskrt import _core, runtime
from taskrt._core import Task
from taskrt.interop._initializer import Initializer
from taskrt.interop._members import Members
from taskrt.interop._pool_results import (
    AsyncResult,
    IMapIterator,
    call_back,
    collect,
)
from taskrt.parallel._feed import Columns, Feed, OrderedFeed, Pulled, UnorderedFeed

__all__ = ["AsyncResult", "IMapIterator", "Pool"]

_R = TypeVar("_R")

_RUN = "RUN"
_CLOSE = "CLOSE"
_TERMINATE = "TERMINATE"

_Callback = Callable[[Any], object] | None


class Pool:
    """Make calls in tasks, by the interface of `multiprocessing.pool.ThreadPool`.

    processes         how many calls are made at once, at most, 1 or more; None: as many
                      as there are threads, see `num_threads`, which is the most in any
                      case. A call that waits in a call of taskrt does not count. The
                      threads are those of all tasks: a pool has none of its own
    initializer       called with `initargs` in each thread before its first call of
                      this pool. If it raises, the calls raise
                      `concurrent.futures.thread.BrokenThreadPool`
    initargs          a tuple
    maxtasksperchild  after how many calls in a thread the initializer is called there
                      again, 1 or more; None: never

    Methods, their arguments, results and errors are those of ThreadPool, but for this.
    Calls may use the pool themselves and wait for each other's results, to any depth.
    They see a copy of the context variables of who has asked for them. `chunksize` is
    how many calls a task makes, None as many as take about 200 microseconds. A call
    that fails ends no chunk, and a map raises the error of the lowest item. `terminate`
    lets what is pending raise `taskrt.CancelledError`, where ThreadPool leaves it
    waiting for ever. A callback that raises is reported to `sys.unraisablehook`.

    Leaving the block, and the end of the process, terminate the pool: calls that run go
    on to their end, others are not begun. ResourceWarning, if it is dropped while it is
    open. In a forked child it begins anew, without the parent's calls. Raises
    ValueError or TypeError for other arguments. All methods may be called from any
    thread; those that wait are suspension points and checkpoints.
    """

    _state = _CLOSE  # until __init__ has got through

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
    ) -> None:
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (
            not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
        ):
            raise ValueError("maxtasksperchild must be a positive int or None")
        self._initializer = None
        if initializer is not None:
            self._initializer = Initializer(
                initializer, tuple(initargs), maxtasksperchild
            )
        self._processes = processes
        self._members = Members(processes)
        self._state = _RUN
        _terminate_at_exit(self)

    # ---- single calls --------------------------------------------------------------

    def apply(
        self,
        func: Callable[..., _R],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
    ) -> _R:
        """Return func(*args, **kwds), called in a task of the pool."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., _R],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: _Callback = None,
        error_callback: _Callback = None,
    ) -> AsyncResult[_R]:
        """Have func(*args, **kwds) called; return its `AsyncResult` at once.

        callback        called with the result, before that is ready
        error_callback  called with the error instead
        """
        self._check_running()
        call = self._prepared(func)
        if callback is None and error_callback is None:
            return AsyncResult(self, self._spawn(call, *args, **kwds))
        return AsyncResult(
            self,
            self._spawn(call_back, call, tuple(args), kwds, callback, error_callback),
        )

    # ---- maps ----------------------------------------------------------------------

    def map(
        self,
        func: Callable[[Any], _R],
        iterable: Iterable[Any],
        chunksize: int | None = None,
    ) -> list[_R]:
        """Return [func(item) for each item], called in tasks of the pool."""
        return collect(self._begin(func, iterable, chunksize, False))

    def map_async(
        self,
        func: Callable[[Any], _R],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: _Callback = None,
        error_callback: _Callback = None,
    ) -> AsyncResult[list[_R]]:
        """Begin `map`; return an `AsyncResult` of the list at once."""
        feed = self._begin(func, iterable, chunksize, False)
        return self._collect_later(feed, callback, error_callback)

    def starmap(
        self,
        func: Callable[..., _R],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[_R]:
        """Return [func(*item) for each item], called in tasks of the pool."""
        return collect(self._begin(func, iterable, chunksize, True))

    def starmap_async(
        self,
        func: Callable[..., _R],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: _Callback = None,
        error_callback: _Callback = None,
    ) -> AsyncResult[list[_R]]:
        """Begin `starmap`; return an `AsyncResult` of the list at once."""
        feed = self._begin(func, iterable, chunksize, True)
        return self._collect_later(feed, callback, error_callback)

    def imap(
        self,
        func: Callable[[Any], _R],
        iterable: Iterable[Any],
        chunksize: int | None = None,
    ) -> IMapIterator[_R]:
        """Begin to call func(item) for each item; return an iterator over the results.

        The iterable is taken by a task, all of it and at once. Its error comes after
        the results of the items before.
        """
        return self._pull(OrderedFeed, func, iterable, chunksize)

    def imap_unordered(
        self,
        func: Callable[[Any], _R],
        iterable: Iterable[Any],
        chunksize: int | None = None,
    ) -> IMapIterator[_R]:
        """Do the same as `imap`, with results and errors in the order they come in."""
        return self._pull(UnorderedFeed, func, iterable, chunksize)

    # ---- life ----------------------------------------------------------------------

    def close(self) -> None:
        """Accept no more calls."""
        if self._state == _RUN:
            self._state = _CLOSE
            self._members.close()

    def terminate(self) -> None:
        """Accept no more calls, and begin none that has not begun."""
        self._state = _TERMINATE
        self._members.close()
        self._members.cancel()

    def join(self) -> None:
        """Wait for all calls. Raises ValueError before `close` and `terminate`."""
        if self._state == _RUN:
            raise ValueError("Pool is still running")
        self._members.wait()

    def __enter__(self) -> Self:
        self._check_running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.terminate()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if self._state == _RUN:
            self._state = _CLOSE
            self._members.close()
            _warn(
                f"unclosed running multiprocessing pool {self!r}",
                ResourceWarning,
                source=self,
            )

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled"
        )

    def __repr__(self) -> str:
        kind = type(self)
        size = self._processes or _core.num_threads()
        return (
            f"<{kind.__module__}.{kind.__qualname__} state={self._state} "
            f"pool_size={size}>"
        )

    # ---- how -----------------------------------------------------------------------

    def _check_running(self) -> None:
        if self._state != _RUN:
            raise ValueError("Pool not running")

    def _prepared(self, func: Callable[..., _R]) -> Callable[..., _R]:
        if self._initializer is None:
            return func
        return partial(self._initializer.call, func)

    def _spawn(self, fn: Callable[..., _R], *args: Any, **kwargs: Any) -> Task[_R]:
        task = self._members.roster._spawn(fn, *args, **kwargs)
        if task is None:  # closed by somebody just now
            raise ValueError("Pool not running")
        return task

    def _begin(
        self,
        func: Callable[..., _R],
        iterable: Iterable[Any],
        chunksize: int | None,
        starred: bool,
    ) -> Feed[_R]:
        self._check_running()
        items: Any = iterable
        if type(iterable) not in (range, tuple):
            items = list(iterable)
        feed: OrderedFeed[_R] = OrderedFeed(
            self._members.roster,
            self._prepared(func),
            Columns((items,), exact=chunksize is not None),
            starred=starred,
            grain=_checked(chunksize),
        )
        self._members.add_map(feed)
        if not feed.start():
            raise ValueError("Pool not running")
        return feed

    def _collect_later(
        self, feed: Feed[_R], callback: _Callback, error_callback: _Callback
    ) -> AsyncResult[list[_R]]:
        task = self._spawn(call_back, collect, (feed,), {}, callback, error_callback)
        return AsyncResult(self, task)

    def _pull(
        self,
        kind: type[OrderedFeed[_R]] | type[UnorderedFeed[_R]],
        func: Callable[[Any], _R],
        iterable: Iterable[Any],
        chunksize: int | None,
    ) -> IMapIterator[_R]:
        self._check_running()
        source = Pulled(_checked(chunksize))
        feed = kind(self._members.roster, self._prepared(func), source, grain=chunksize)
        self._members.add_map(feed)
        self._spawn(source.pull, iterable, feed)
        return IMapIterator(self, feed)


def _checked(chunksize: int | None) -> int | None:
    if chunksize is not None and chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")
    return chunksize


_living: weakref.WeakSet[Pool] = weakref.WeakSet()


def _terminate_at_exit(pool: Pool) -> None:
    _living.add(pool)
    if _terminate_all not in runtime._before_end:
        runtime._before_end.append(_terminate_all)


def _terminate_all() -> None:
    if runtime._exiting:
        for pool in list(_living):
            pool.terminate()
