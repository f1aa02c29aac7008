"""Values that belong to one task."""

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, TypeVar, cast

from taskrt import _core
from taskrt._unique import Unique
from taskrt.errors import DeadlockError

__all__ = ["OncePerTask", "TaskLocal"]

_T = TypeVar("_T")
_UNSET = object()
_RUNNING = object()  # the function of a OncePerTask, in this task


class TaskLocal(Unique, Generic[_T]):
    """A variable of which each task has its own; a `threading.local` for tasks.

    default_factory  called in a task that asks before it has set a value, or None

    Not inherited: a spawned task begins without a value, and what it has set is gone
    when it ends. Outside of tasks each thread has its own. For what a task should
    inherit there are context variables. No method is a suspension point, unless the
    factory is one; any thread.

    >>> from taskrt import TaskLocal, fetch, spawn
    >>> seen = TaskLocal(list)
    >>> seen.get().append("here")
    >>> fetch(spawn(seen.get))
    []
    """

    __module__ = "taskrt"
    __slots__ = ("_factory", "_outside")

    def __init__(self, default_factory: Callable[[], _T] | None = None) -> None:
        if default_factory is not None and not callable(default_factory):
            raise TypeError(
                "default_factory must be callable or None, not "
                f"{type(default_factory).__name__!r}"
            )
        self._factory = default_factory
        self._outside = threading.local()

    def get(self) -> _T:
        """Return the value that this task has set, or the default.

        The default is made once a task and stays its value. Raises LookupError if there
        is neither.
        """
        values = self._values()
        value = values.get(self, _UNSET)
        if value is not _UNSET:
            return cast(_T, value)
        if self._factory is None:
            raise LookupError(
                f"{self!r} has no value here: set one first, or give it a "
                "default_factory"
            )
        made = self._factory()
        values[self] = made
        return made

    def set(self, value: _T) -> None:
        """Give this task a value."""
        self._values()[self] = value

    def _values(self) -> dict[object, object]:
        values = _core._locals()
        if values is None:
            return cast(dict[object, object], self._outside.__dict__)
        return values


class OncePerTask(Unique, Generic[_T]):
    """A callable that calls `fn()` once in each task, and keeps the value for it.

    Outside of tasks once in each thread. `fn` runs in the caller, so unlike that of
    `once` it sees its context and may use locks that it has. The value is gone when the
    task ends, and is not inherited. If `fn` fails the caller gets its exception, and
    the next call tries again. A suspension point if `fn` is one; any thread. Source:
    Julia's OncePerTask.

    >>> from taskrt import OncePerTask, fetch, spawn
    >>> @OncePerTask
    ... def scratch():
    ...     return bytearray(4)
    >>> scratch() is scratch()
    True
    >>> fetch(spawn(scratch)) is scratch()
    False
    """

    __module__ = "taskrt"

    def __init__(self, fn: Callable[[], _T]) -> None:
        if not callable(fn):
            raise TypeError(f"OncePerTask takes a callable, not {type(fn).__name__!r}")
        self._fn = fn
        self._local: TaskLocal[object] = TaskLocal()
        update_wrapper(self, fn)

    def __call__(self) -> _T:
        """Return this task's value, and make it first if need be.

        Raises what the function raises; DeadlockError if it asks for its own value.
        """
        values = self._local._values()
        value = values.get(self, _UNSET)
        if value is _RUNNING:
            raise DeadlockError(
                f"{self!r} needs its own value: the function is just making it for "
                "this task; have it do without"
            )
        if value is _UNSET:
            values[self] = _RUNNING
            try:
                value = self._fn()
            except BaseException:
                del values[self]
                raise
            values[self] = value
        return cast(_T, value)

    def __repr__(self) -> str:
        return f"<taskrt.OncePerTask of {self._fn!r}>"
