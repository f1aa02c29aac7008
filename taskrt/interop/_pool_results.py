"""What a pool returns before it has the results."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Generic, Self, TypeVar

from taskrt import _core
from taskrt._core import Task
from taskrt.parallel._feed import Feed, Parts

__all__ = ["AsyncResult", "IMapIterator", "call_back", "collect"]

_R = TypeVar("_R")


class AsyncResult(Generic[_R]):
    """The result of a call, or of a whole map, that a pool makes meanwhile.

    As that of `multiprocessing.pool`; with `close`, a pool that has one open waits for
    it. Its waits are suspension points and checkpoints.
    """

    __module__ = "taskrt.interop.pool"

    def __init__(self, pool: object, task: Task[_R]) -> None:
        self._task = task
        # As long as somebody wants the result, the pool is not one that was left open.
        self._pool = pool

    def get(self, timeout: float | None = None) -> _R:
        """Wait for the result and return it, or raise the error of the call.

        timeout  seconds until `multiprocessing.TimeoutError` is raised; None: never

        Raises `taskrt.CancelledError` if the pool was terminated before.
        """
        if timeout is not None and not _core.wait(self._task, timeout=timeout):
            raise multiprocessing.TimeoutError
        try:
            return _core.fetch(self._task)
        finally:
            del self  # the error's traceback refers to this frame

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the result is there, or so many seconds have passed."""
        _core.wait(self._task, timeout=timeout)

    def ready(self) -> bool:
        """Return whether the result is there, or an error."""
        return self._task.done()

    def successful(self) -> bool:
        """Return whether there was no error. Raises ValueError if it is not ready."""
        if not self._task.done():
            raise ValueError(f"{self!r} not ready")
        return self._task.state == "done"


def collect(feed: Feed[_R]) -> list[_R]:
    """Return all results in order; raise the first error once all calls are made."""
    collected: list[_R] = []
    first: BaseException | None = None
    error: BaseException | None = None
    parts: Parts[_R] | None = None
    try:
        while (parts := feed.take()) is not None:
            for results, error in parts:
                if first is None:
                    collected += results
                    first = error
        if first is not None:
            raise first
        return collected
    except BaseException:
        feed.cut()
        raise
    finally:
        first = error = parts = None  # its traceback refers to this frame


class IMapIterator(Generic[_R]):
    """The results of a lazy map, as they come; any number of threads may take them.

    An error of a call is raised in place of its result, and the next result comes
    after it. `next` is a suspension point and a checkpoint, where it has to wait.
    """

    __module__ = "taskrt.interop.pool"

    def __init__(self, pool: object, feed: Feed[_R]) -> None:
        self._pool = pool
        self._feed = feed
        self._ready: deque[_R] = deque()
        # Under the lock, of whoever looks for more: what comes after those.
        self._error: BaseException | None = None
        self._parts: deque[tuple[list[_R], BaseException | None]] = deque()
        self._lock = _core.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _R:
        return self.next()

    def next(self, timeout: float | None = None) -> _R:
        """Return the next result, or raise an error in its place.

        timeout  seconds until `multiprocessing.TimeoutError` is raised; None: never

        Raises StopIteration after the last one, and `taskrt.CancelledError` where the
        pool was terminated before.
        """
        try:
            return self._ready.popleft()
        except IndexError:
            pass
        deadline = None if timeout is None else monotonic() + timeout
        if not self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            raise multiprocessing.TimeoutError
        try:
            return self._more(deadline)
        finally:
            self._lock.release()
            del self  # the error's traceback refers to this frame

    def _more(self, deadline: float | None) -> _R:
        while True:
            if self._ready:
                try:
                    return self._ready.popleft()
                except IndexError:  # somebody else has taken the last one
                    continue
            error, self._error = self._error, None
            if error is not None:
                try:
                    raise error
                finally:
                    del error
            if not self._parts:
                self._parts = deque(self._take(deadline))
            results, self._error = self._parts.popleft()
            self._ready = deque(results)

    def _take(self, deadline: float | None) -> Parts[_R]:
        try:
            parts = self._feed.take(deadline)
        except TimeoutError:
            raise multiprocessing.TimeoutError from None
        if parts is None:
            self._pool = None
            raise StopIteration
        return parts


def _tell(callback: Callable[[Any], object], what: object) -> None:
    """Call a callback; its own errors are reported, and change nothing."""
    try:
        callback(what)
    except Exception as error:
        _core._call_report(error, f"the callback {callback!r} of a pool")


def call_back(
    fn: Callable[..., _R],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    callback: Callable[[_R], object] | None,
    error_callback: Callable[[BaseException], object] | None,
) -> _R:
    """Return fn(*args, **kwargs), and tell one of the callbacks before."""
    try:
        result = fn(*args, **kwargs)
    except Exception as error:
        if error_callback is not None:
            _tell(error_callback, error)
        raise
    if callback is not None:
        _tell(callback, result)
    return result
