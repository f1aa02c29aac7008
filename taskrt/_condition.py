"""Condition: a lock, and those that wait under it for a change."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from taskrt._core import (
    Lock,
    RLock,
    Waiter,
    _condition_wait,
    _condition_wake,
    _Guard,
)
from taskrt._unique import Unique
from taskrt.statistics import ConditionStatistics

_T = TypeVar("_T")


class _Lockable(Protocol):
    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...
    def release(self) -> object: ...
    def __enter__(self) -> object: ...
    def __exit__(self, *args: Any) -> object: ...


def _seconds_until(deadline: float | None) -> float | None:
    """Return the seconds until `deadline`, or None for no limit."""
    return None if deadline is None else deadline - time.monotonic()


class Condition(Unique, _Guard[bool]):
    """A lock, and those that wait under it until somebody says that something changed.

    lock   what to use: by default a new `RLock`; a `Lock`, or anything with acquire and
           release, such as the lock of another condition

    A `threading.Condition` that parks the task. `wait` returns for a notification or
    because time is up, never by itself; another may still have been faster, so look at
    what you wait for again, or use `wait_for`. No notification is lost: it goes to
    those that wait longest, and if one of them is cancelled just then, to the next.

    >>> from taskrt import Condition, fetch, spawn
    >>> items, changed = [], Condition()
    >>> def take():
    ...     with changed:
    ...         changed.wait_for(lambda: items)
    ...         return items.pop()
    >>> task = spawn(take)
    >>> with changed:
    ...     items.append("apple")
    ...     changed.notify()
    >>> fetch(task)
    'apple'
    """

    __module__ = "taskrt"

    # Who waits is in `_waiters`, which changes under the lock alone. Each that waits
    # takes the lock again before it goes on, and then looks: if it is still there it
    # was not notified, and takes itself out; if it is not, it was, whatever ended its
    # wait, and a wait that fails hands the notification on. So nothing depends on
    # which of a wake-up, a timeout and a cancellation has ended the wait of its Waiter.
    # All that is in csrc/binding/sync_condition.c, where no signal handler comes in.

    def __init__(self, lock: _Lockable | None = None) -> None:
        self._lock: Any = RLock() if lock is None else lock
        self._waiters: deque[Waiter] = deque()
        self._guard_by(self._lock)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; return whether it was taken. Arguments and errors are its."""
        acquired: bool = self._lock.acquire(blocking, timeout)
        return acquired

    def release(self) -> None:
        """Give the lock up.

        Raises RuntimeError if the caller does not have it.
        """
        self._lock.release()

    def __repr__(self) -> str:
        return f"<Condition({self._lock!r}, {len(self._waiters)})>"

    def wait(self, timeout: float | None = None) -> bool:
        """Give the lock up, wait to be notified, take the lock again.

        timeout  seconds to wait at most, None for no limit; the time that it takes to
                 get the lock back is not limited

        Return False if time was up first. The lock, however often it was acquired, is
        the caller's again on every way out, `Cancelled` and Ctrl-C included, with two
        exceptions, which leave a with-block all the same: while the process exits, and
        for a second Ctrl-C while the lock is awaited.

        Raises RuntimeError if the caller does not have the lock; Cancelled. A
        suspension point and a checkpoint.
        """
        self._check_owned()
        how = 0 if not hasattr(self._lock, "_release_save") else 1
        how += isinstance(self._lock, RLock)
        return _condition_wait(self, self._lock, how, self._waiters, timeout)

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Wait until `predicate()`, called under the lock, is true; return its value.

        timeout  seconds to wait at most, None for no limit; then the value is false

        Raises as `wait` does. A suspension point and a checkpoint, if it waits.
        """
        self._check_owned()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (value := predicate()):
            left = _seconds_until(deadline)
            if left is not None and left <= 0:
                break
            self.wait(left)
        return value

    def notify(self, n: int = 1) -> None:
        """Let `n` of those that wait go on, or all if there are fewer.

        They go on when they get the lock. Raises RuntimeError if the caller does not
        have the lock. Not a suspension point.
        """
        self._check_owned()
        _condition_wake(self._waiters, n)

    def notify_all(self) -> None:
        """Let all that wait go on; otherwise as `notify`."""
        self.notify(len(self._waiters))

    def statistics(self) -> ConditionStatistics:
        """Return a `taskrt.statistics.ConditionStatistics`. Not a suspension point."""
        lock = self._lock
        known = lock.statistics() if isinstance(lock, Lock | RLock) else None
        return ConditionStatistics(len(self._waiters), known)

    # --- the lock, which may be of another kind than ours, such as a condition

    def _check_owned(self) -> None:
        if not self._is_owned():
            raise RuntimeError("cannot wait or notify without having the lock")

    def _is_owned(self) -> bool:
        if hasattr(self._lock, "_is_owned"):
            return bool(self._lock._is_owned())
        if hasattr(self._lock, "locked"):
            return bool(self._lock.locked())
        if self._lock.acquire(False):
            self._lock.release()
            return False
        return True

    def _release_save(self) -> object:
        if hasattr(self._lock, "_release_save"):
            saved: object = self._lock._release_save()
            return saved
        self._lock.release()
        return None

    def _acquire_restore(self, saved: object) -> None:
        if hasattr(self._lock, "_acquire_restore"):
            self._lock._acquire_restore(saved)
        else:
            self._lock.acquire()
