"""The future of a task: a real Future of concurrent.futures, as cheap as the task.

What a Future keeps in attributes is kept by the task here. Only who asks for what a
task has not, the condition, the waiters and the callbacks, has them made: from then on
`_state` says FINISHED when those have been told, under the condition, as the functions
of concurrent.futures expect. Before, and in the methods, it is the task that is asked.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures._base import (
    CANCELLED_AND_NOTIFIED,
    FINISHED,
    PENDING,
    RUNNING,
)
from typing import Any, NoReturn, TypeVar

from taskrt import _core
from taskrt._core import Task

__all__ = ["TaskFuture"]

_R = TypeVar("_R")

_STATES = {
    "pending": PENDING,
    "done": FINISHED,
    "failed": FINISHED,
    "cancelled": CANCELLED_AND_NOTIFIED,
}


class _Waiters(list[Any]):
    """Who waits in wait() and as_completed() of concurrent.futures.

    They sleep on an event of `threading`, which blocks the thread. Each is given one
    that lets tasks run meanwhile, before anybody can have set the other.
    """

    def append(self, waiter: Any) -> None:
        if isinstance(waiter.event, threading.Event):
            waiter.event = _core.Event()
        super().append(waiter)


class _Notices:
    """Whom to tell of the end, and what they have been told."""

    __slots__ = ("callbacks", "condition", "state", "waiters")

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.waiters = _Waiters()
        self.callbacks: list[Callable[[Future[Any]], object]] = []
        self.state: str | None = None  # under the condition


class TaskFuture(Future[_R]):
    """The future of a call that runs as a task; made by `TaskExecutor.submit`.

    All methods mean what they mean in `concurrent.futures.Future`. `result` and
    `exception` are suspension points and checkpoints: inside a task they let others
    run, and where the call has not started yet they run it here. A call that is running
    cannot be cancelled; `taskrt.Task.cancel` could, and the executor keeps its tasks to
    itself.
    """

    __slots__ = ("_task",)
    _notices: _Notices | None = None  # in __dict__, once there are some

    def __init__(self, task: Task[_R]) -> None:
        self._task = task

    # ---- what callers ask for ------------------------------------------------------

    def result(self, timeout: float | None = None) -> _R:
        try:
            return self._task.result(timeout)
        finally:
            del self  # the error's traceback refers to this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return self._task.exception(timeout)
        finally:
            del self

    def done(self) -> bool:
        return self._task.done()

    def running(self) -> bool:
        return self._task.running()

    def cancelled(self) -> bool:
        return self._task.cancelled()

    def cancel(self) -> bool:
        return _core._cancel_pending(self._task) or self._task.cancelled()

    # ---- what only executors do, elsewhere -----------------------------------------

    def set_running_or_notify_cancel(self) -> bool:
        if self._task.cancelled():
            return False
        return self._refuse()

    def set_result(self, result: _R) -> None:
        self._refuse()

    def set_exception(self, exception: BaseException | None) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InvalidStateError(
            f"{self!r} gets its state from the call that it stands for: to set the "
            "outcome by hand make a concurrent.futures.Future"
        )

    # ---- what the functions of concurrent.futures look at --------------------------

    def _noticing(self) -> _Notices:
        notices = self._notices
        if notices is None:
            made = _Notices()
            notices = self.__dict__.setdefault("_notices", made)
            if notices is made:  # and of no other thread
                self._task.add_done_callback(self._announce)
        return notices

    def _announce(self, task: Task[_R]) -> None:
        """Tell those that are to be told; once, when the task has ended."""
        notices = self._noticing()
        with notices.condition:
            if task.cancelled():
                notices.state = CANCELLED_AND_NOTIFIED
                for waiter in notices.waiters:
                    waiter.add_cancelled(self)
            else:
                notices.state = FINISHED
                failed = _core._error_of(task) is not None
                for waiter in notices.waiters:
                    (waiter.add_exception if failed else waiter.add_result)(self)
            notices.condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]

    # typeshed has them as attributes that may be written.

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        return self._noticing().condition

    @property
    def _waiters(self) -> _Waiters:  # type: ignore[override]
        return self._noticing().waiters

    @property
    def _done_callbacks(self) -> list[Callable[[Future[Any]], object]]:
        return self._noticing().callbacks

    @property
    def _state(self) -> str:  # type: ignore[override]
        notices = self._notices
        state = _STATES.get(self._task.state, RUNNING)
        if notices is None:
            return state
        if state in (PENDING, RUNNING):
            return state
        return notices.state or RUNNING

    @property
    def _result(self) -> _R | None:  # type: ignore[override]
        return _core._value_of(self._task)

    @property
    def _exception(self) -> BaseException | None:  # type: ignore[override]
        return _core._error_of(self._task)
