"""Once: a function that is called one time, whoever needs its value."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, TypeVar

from taskrt._core import RLock, Spawner, Task, fetch
from taskrt._unique import Unique
from taskrt.errors import TaskLostError

_T = TypeVar("_T")


class Once(Unique, Generic[_T]):
    """What `once` returns: call it for the value.

    The function runs in a task of its own, which callers fetch. So it mostly runs as a
    call in the first of them; a caller that is cancelled leaves it running for the
    others, or if it has it on its own stack, runs it to its end; and a function that
    waits for itself, be it by a task that it spawns, gets a DeadlockError.
    """

    __module__ = "taskrt"

    def __init__(self, fn: Callable[[], _T]) -> None:
        if not callable(fn):
            raise TypeError(f"once() takes a callable, not {type(fn).__name__!r}")
        self._spawn = Spawner(name=f"once {getattr(fn, '__qualname__', fn)}")
        self._fn = fn
        self._lock = RLock()
        self._task: Task[_T] | None = None
        self._values: list[_T] = []  # one, once it is known
        update_wrapper(self, fn)

    def __call__(self) -> _T:
        """Return the value, and find it first if need be.

        Raises what the function raises; DeadlockError if it waits for itself; Cancelled
        if the caller is. A suspension point and a checkpoint until the value is known.
        """
        while not self._values:
            task = self._begin()
            try:
                self._values = [fetch(task)]
            except TaskLostError:
                if task.done():
                    raise  # its own
                self._task = None  # it was begun before a fork: begin again
        return self._values[0]

    def __repr__(self) -> str:
        state = "done" if self._values else "not done"
        return f"<taskrt.Once of {self._fn!r}: {state}>"

    def _begin(self) -> Task[_T]:
        with self._lock:
            task = self._task
            if task is None or task.state in ("failed", "cancelled"):
                task = self._task = self._spawn(self._fn)
            return task


def once(fn: Callable[[], _T]) -> Once[_T]:
    """Return a callable that calls `fn()` the first time and keeps its value.

    Legal from any task or thread, also many at the same moment: one runs `fn`, the
    others wait, and their threads run other tasks. `fn` may itself run parallel code,
    with the tasks that call this very `once` among what its thread meanwhile runs:
    those wait aside. If `fn` fails, all that wait get its exception, and the next
    caller tries again.

    `fn` runs in a task of its own, in a copy of the context of its first caller, which
    is another owner of an RLock than the caller. It must not wait for a lock that a
    caller may have. Raises TypeError if it is not callable.

    >>> from taskrt import once
    >>> @once
    ... def settings():
    ...     print("reading")
    ...     return {"colour": "blue"}
    >>> settings()["colour"], settings()["colour"]
    reading
    ('blue', 'blue')
    """
    return Once(fn)
