"""The future of a task: a real Future of concurrent.futures, as cheap as the task.

What a Future keeps in attributes is kept by the task here. Only who asks for what a
task has not, the condition, the waiters and the callbacks, has them made. The functions
of concurrent.futures look at `_state` while they have the condition, more than once,
and count on it that it stays as it is and that they hear of just those ends that come
later. So from then on it says that the task has ended when the waiters have been told.
Who ends the task tells them; or who gets the condition after that, if he comes first.
"""

import threading
import weakref
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


class _Lock:
    """The lock of a future's condition: to who gets it all is as it is by now."""

    def __init__(self, future: "TaskFuture[Any]") -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._future = weakref.ref(future)  # no circle: who locks it has the future
        self._is_owned = self._lock._is_owned  # type: ignore[attr-defined]

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._lock.acquire(blocking, timeout):
            return False
        self._depth += 1
        if self._depth == 1:
            future = self._future()
            if future is not None:
                future._catch_up()
        return True

    def release(self) -> None:
        self._depth -= 1
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Notices:
    """Whom to tell of the end, and what they have been told."""

    __slots__ = ("callbacks", "condition", "state", "waiters")

    def __init__(self, future: "TaskFuture[Any]") -> None:
        self.condition = threading.Condition(_Lock(future))  # type: ignore[arg-type]
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
            made = _Notices(self)
            notices = self.__dict__.setdefault("_notices", made)
            if notices is made:  # and of no other thread
                self._task.add_done_callback(self._hear_end)
        return notices

    def _hear_end(self, task: Task[_R]) -> None:
        """Tell those that are to be told. Called once, when the task has ended."""
        with self._condition:
            pass  # who gets it has caught up
        self._invoke_callbacks()  # type: ignore[attr-defined]

    def _catch_up(self) -> None:
        """Tell the waiters, if the task has ended. With the condition."""
        notices = self._noticing()
        if notices.state is not None or not self._task.done():
            return
        if self._task.cancelled():
            notices.state = CANCELLED_AND_NOTIFIED
            for waiter in notices.waiters:
                waiter.add_cancelled(self)
        else:
            notices.state = FINISHED
            failed = _core._error_of(self._task) is not None
            for waiter in notices.waiters:
                (waiter.add_exception if failed else waiter.add_result)(self)
        notices.condition.notify_all()

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
        state = _STATES.get(self._task.state, RUNNING)
        notices = self._notices
        if notices is None or state in (PENDING, RUNNING):
            return state
        return notices.state or RUNNING

    @property
    def _result(self) -> _R | None:  # type: ignore[override]
        return _core._value_of(self._task)

    @property
    def _exception(self) -> BaseException | None:  # type: ignore[override]
        return _core._error_of(self._task)
