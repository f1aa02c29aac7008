"""Values that belong to one task."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from taskrt import _core

__all__ = ["TaskLocal"]

_T = TypeVar("_T")
_UNSET = object()


class TaskLocal(Generic[_T]):
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
