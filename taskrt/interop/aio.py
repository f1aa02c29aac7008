"""asyncio and taskrt, both ways; and Trio, which may await tasks too.

A coroutine awaits a task as it awaits anything else, and a task waits for a coroutine
by `from_async`. Cancellation crosses in both directions.

>>> import asyncio
>>> from taskrt import fetch, spawn
>>> from taskrt.interop import aio

>>> async def double(n):
...     await asyncio.sleep(0.001)
...     return await aio.run(lambda: 2 * n)

>>> asyncio.run(double(4))
8
>>> fetch(spawn(lambda: aio.from_async(double(4)) + 1))
9
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from typing import Any, ParamSpec, TypeVar

from taskrt import _core
from taskrt.interop import _aio_await, _aio_trio
from taskrt.interop._aio_call import Call, check_place, close, find_loop
from taskrt.tasks import Task, spawn

__all__ = ["from_async", "run"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


async def run(fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call fn(*args, **kwargs) in a new task and await it: await run(fn, 1, 2).

    Short for ``await spawn(fn, ...)``: the event loop goes on meanwhile. The task sees
    a copy of the present context variables. If the one that awaits is cancelled, the
    task is asked to end, and never runs if it has not started; nobody waits for that.
    Raises fn's own error; `taskrt.CancelledError`, an ordinary error, if somebody else
    has cancelled the task; what spawn raises. In asyncio and Trio.
    """
    return await spawn(fn, *args, **kwargs)


def from_async(
    awaitable: Awaitable[_R],
    /,
    *,
    loop: asyncio.AbstractEventLoop | None = None,
    timeout: float | None = None,
) -> _R:
    """Run a coroutine in an asyncio event loop, wait for it, and return its value.

    awaitable  a coroutine, or anything else that can be awaited; it is run as an
               `asyncio.Task`, with a copy of the present context variables
    loop       a loop that is running on another thread; None: the one that a Future is
               bound to, otherwise taskrt's own, one a process, on a thread of its own
               and from uvloop if that is installed
    timeout    seconds until it is cancelled, None for no limit

    Only the task waits, not its thread. If it is asked to end, or time is up, the
    coroutine is cancelled and waited for, however long it takes to clean up; then
    Cancelled or TimeoutError is raised. One that returns or fails nevertheless has won:
    its value is returned, its error raised, and Cancelled comes at the next checkpoint.

    Raises the coroutine's own error; `taskrt.CancelledError` if it was cancelled by
    somebody else; RuntimeError if the loop is closed meanwhile, or does not run, or
    runs on this thread, which has to await the coroutine instead; TypeError for what
    cannot be awaited. A suspension point and a checkpoint; any thread.

    >>> import asyncio
    >>> from taskrt.interop.aio import from_async
    >>> from_async(asyncio.sleep(0.001, "slept"))
    'slept'
    """
    try:
        check_place(awaitable, loop, timeout)
        _core.checkpoint()
        call = Call(awaitable, *find_loop(awaitable, loop))
    except BaseException:
        close(awaitable)
        raise
    call.start_soon()
    return call.wait(timeout)


def _await_task(task: Task[_R]) -> Generator[Any, None, _R]:
    """Give what ``await task`` goes through; Task.__await__ calls it by name.

    Not started before the first step, which is taken where the coroutine runs.
    """
    trio = _trio_at_work()
    if trio is not None:
        yield from _aio_trio.wait(trio, task).__await__()
    elif not _core.wait(task, timeout=0):
        yield from _aio_await.wait(task)
    try:
        return _core.fetch(task)
    finally:
        del task  # whose error's traceback refers to this frame


def _trio_at_work() -> Any:
    """Return the module trio if a task of its runs here, None for one of asyncio."""
    loop = asyncio._get_running_loop()
    if loop is not None and asyncio.current_task(loop) is not None:
        return None
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
            return trio
        except (AttributeError, RuntimeError):
            pass
    if loop is None:
        raise RuntimeError(
            "await of a taskrt.Task needs a running asyncio or Trio event loop, and "
            "there is none here: outside of one use fetch(task)"
        )
    return None
