"""Guarded: a value and the lock that it is reached under."""

from __future__ import annotations

from typing import Generic, TypeVar

from taskrt._core import RLock, _Guard
from taskrt._unique import Unique
from taskrt.statistics import LockStatistics

_T = TypeVar("_T")


class Guarded(Unique, _Guard[_T], Generic[_T]):
    """A value together with its lock, so that nobody forgets to take it.

    value  anything

    The with-block has the lock and is given the value; to put another in its place, or
    to look at it in a function that the block calls, use `value`. The lock is an
    `RLock`: who has it may enter again. What is kept of a mutable value after the block
    is nobody's responsibility but yours. Sources: Julia's Lockable, Rust's Mutex<T>.

    >>> from taskrt import Guarded, TaskGroup
    >>> words = Guarded({})
    >>> def count(word):
    ...     with words as counts:
    ...         counts[word] = counts.get(word, 0) + 1
    >>> with TaskGroup() as group:
    ...     for word in ["to", "be", "or", "not", "to", "be"]:
    ...         _ = group.spawn(count, word)
    >>> with words as counts:
    ...     sorted(counts.items())
    [('be', 2), ('not', 1), ('or', 1), ('to', 2)]
    """

    __module__ = "taskrt"
    __slots__ = ("__weakref__", "_lock")

    def __init__(self, value: _T) -> None:
        self._lock = RLock()
        self._value = value
        self._guard_by(self._lock)

    def __repr__(self) -> str:
        return f"<Guarded({type(self._value).__name__}, {self._lock!r})>"

    @property
    def value(self) -> _T:
        """The value, for who has the lock; assign to it to put another in its place.

        Raises RuntimeError outside of a with-block of this object. Not a suspension
        point.
        """
        self._check_owned("read")
        return self._value

    @value.setter
    def value(self, value: _T) -> None:
        self._check_owned("set")
        self._value = value

    def locked(self) -> bool:
        """Return whether somebody has the lock. Not a suspension point."""
        return self._lock.locked()

    def statistics(self) -> LockStatistics:
        """Return a `taskrt.statistics.LockStatistics`. Not a suspension point."""
        return self._lock.statistics()

    def _check_owned(self, what: str) -> None:
        if not self._lock._is_owned():
            raise RuntimeError(
                f"cannot {what} the value without having its lock: "
                "use `with guarded as value:`"
            )
