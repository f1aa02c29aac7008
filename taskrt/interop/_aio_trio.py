"""How a task of Trio awaits one of taskrt. Trio is passed in: it is never imported."""

import contextlib
import math
import threading
import weakref
from typing import Any

from taskrt import _core
from taskrt._core import Task

__all__ = ["wait"]


class _Here(threading.local):
    """Which runs of Trio on this thread have a task that watches a descriptor."""

    def __init__(self) -> None:
        self.watched = weakref.WeakKeyDictionary[Any, int]()


_here = _Here()


async def wait(trio: Any, task: Task[Any]) -> None:
    """Let Trio go on until the task has ended; a checkpoint of Trio in any case."""
    if _core.wait(task, timeout=0):
        await trio.lowlevel.checkpoint()
        return
    await trio.lowlevel.checkpoint_if_cancelled()
    token = trio.lowlevel.current_trio_token()
    waiter: Any = trio.lowlevel.current_task()

    def on_end(_: Task[Any]) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(wake)

    def wake() -> None:
        nonlocal waiter
        if waiter is not None:
            waking, waiter = waiter, None
            trio.lowlevel.reschedule(waking)

    def abort(_: object) -> Any:
        nonlocal waiter
        waiter = None
        task.cancel("the Trio task that awaited it was cancelled")
        return trio.lowlevel.Abort.SUCCEEDED

    subscription = None
    loan = _core._lend()
    try:
        _watch(trio, token, loan.fd)
        subscription = _core._subscribe(task, on_end)
        await trio.lowlevel.wait_task_rescheduled(abort)
    finally:
        if subscription is not None:
            subscription.cancel()
        loan.end()


def _watch(trio: Any, token: Any, fd: int) -> None:
    """Have this run of Trio run what only this thread can, until the run ends."""
    if _here.watched.get(token) != fd:
        _here.watched[token] = fd
        trio.lowlevel.spawn_system_task(_run_own, trio, fd, name="taskrt")


async def _run_own(trio: Any, fd: int) -> None:
    while True:
        seconds = _core._run_own()
        with trio.move_on_after(math.inf if seconds is None else seconds):
            await trio.lowlevel.wait_readable(fd)
