"""How a coroutine of asyncio awaits a task."""

import asyncio
import contextlib
import contextvars
import math
import threading
import time
import weakref
from collections.abc import Generator
from typing import Any

from taskrt import _core
from taskrt._core import Task

__all__ = ["reason_of", "wait"]


class _Here(threading.local):
    """What event loops on this thread have been told."""

    def __init__(self) -> None:
        # The descriptor that a loop watches, and when it is going to look by itself.
        self.watched = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int]()
        self.due = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, float]()


_here = _Here()


def wait(task: Task[Any]) -> Generator[Any, None, None]:
    """Let the loop go on until the task has ended."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def on_end(_: Task[Any]) -> None:
        try:
            # Without a context of its own the thread would be given one, for good.
            loop.call_soon_threadsafe(_wake, future, context=contextvars.Context())
        except RuntimeError:
            if not loop.is_closed():
                raise

    subscription = None
    loan = _core._lend()
    try:
        _watch(loop, loan.fd)
        subscription = _core._subscribe(task, on_end)
        yield from future
    except asyncio.CancelledError as error:
        task.cancel(reason_of(error))
        raise
    finally:
        if subscription is not None:
            subscription.cancel()
        loan.end()


def reason_of(error: BaseException) -> object:
    """Return what the task is told about why it is cancelled."""
    if error.args and error.args[0] is not None:
        return error.args[0]
    return "the coroutine that awaited it was cancelled"


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _watch(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    """Have the loop run what only this thread can, for as long as the loop lives."""
    if _here.watched.get(loop) == fd:
        return
    # Where it is not there, what only this thread can run waits until the loop is left.
    with contextlib.suppress(NotImplementedError):
        loop.add_reader(fd, _run_own)
    _here.watched[loop] = fd


def _run_own() -> None:
    loop = asyncio.get_running_loop()
    seconds = _core._run_own()
    if seconds is not None:
        now = time.monotonic()
        if _here.due.get(loop, math.inf) > now + seconds:
            _here.due[loop] = now + seconds
            loop.call_later(seconds, _run_own_in_time)


def _run_own_in_time() -> None:
    # First, since loops call a little early: then there has to be another time.
    _here.due.pop(asyncio.get_running_loop(), None)
    _run_own()
