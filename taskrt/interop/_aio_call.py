"""A coroutine that a task waits for, in an event loop on another thread."""

import asyncio
import contextlib
import contextvars
import inspect
import math
import threading
import time
import weakref
from collections.abc import Awaitable, Coroutine
from typing import Any, Generic, TypeVar, cast

from taskrt import _core
from taskrt._core import CancelScope, Event
from taskrt.errors import Cancelled, CancelledError
from taskrt.interop._aio_background import background

__all__ = ["Call", "check_place", "close", "find_loop"]

_R = TypeVar("_R")
_YEAR = 365 * 24 * 3600.0
_GLANCE = 1.0  # s, until a loop that has not got to a coroutine is looked at


def check_place(
    awaitable: object, loop: asyncio.AbstractEventLoop | None, timeout: float | None
) -> None:
    """Raise what from_async() raises for its arguments and for where it is called."""
    if not inspect.isawaitable(awaitable):
        hint = "; call it, and pass on what it returns" if callable(awaitable) else ""
        raise TypeError(
            "from_async() takes a coroutine or something else that can be awaited, not "
            f"{type(awaitable).__name__!r}{hint}"
        )
    if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(
            f"loop must be an asyncio event loop or None, not {type(loop).__name__!r}"
        )
    if timeout is not None and (math.isnan(timeout) or timeout < 0):
        raise ValueError(
            f"timeout must be a number from 0 upwards, or None, not {timeout!r}"
        )
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "from_async() would hold up the event loop that runs on this thread: await "
            "the coroutine instead"
        )


def find_loop(
    awaitable: object, loop: asyncio.AbstractEventLoop | None
) -> tuple[asyncio.AbstractEventLoop, bool]:
    """Return the loop to use, and whether it is taskrt's own."""
    if loop is None and asyncio.isfuture(awaitable):
        loop = awaitable.get_loop()
    if loop is None or loop is background.loop:
        return background.get(), True
    if not loop.is_running():
        state = "is closed" if loop.is_closed() else "does not run"
        raise RuntimeError(
            f"from_async() needs a loop that runs, and {loop!r} {state}: start it on "
            "another thread, or leave out loop to use taskrt's own"
        )
    # Private, and not there in other loops: they wait in vain, as asyncio itself does.
    if getattr(loop, "_thread_id", None) == threading.get_ident():
        raise RuntimeError(
            "from_async() would wait for the event loop that this very thread has to "
            "run: await the coroutine there instead, or use another loop"
        )
    return loop, False


def close(awaitable: object) -> None:
    """Let go of a coroutine that will not be run, without a warning."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


class _Hold:
    """What only its loop refers to: when this dies before its time, the loop is closed.

    It waits in the loop's queue of timers, which a loop empties as it closes. Made on
    the loop's thread: without the GIL an object that another thread lets go of may live
    until the thread that has made it wakes up.
    """

    __slots__ = ("_call",)

    def __init__(self, call: "Call[Any]") -> None:
        self._call = call

    def __call__(self) -> None:
        self._call.keep(self)

    def __del__(self) -> None:
        self._call.lose()


class Call(Generic[_R]):
    """One coroutine, from its start to its end, and the one that waits for it."""

    def __init__(
        self, awaitable: Awaitable[_R], loop: asyncio.AbstractEventLoop, is_own: bool
    ) -> None:
        self._awaitable: Awaitable[_R] | None = awaitable
        self._loop = loop
        self._is_own = is_own
        self._context = contextvars.copy_context()
        self._driver: Coroutine[Any, Any, None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: weakref.ref[asyncio.TimerHandle] | None = None
        self._is_kept = False
        self._has_begun = False
        # Value and error. The first is valid: several may tell of the end.
        self._outcomes: list[tuple[_R | None, BaseException | None]] = []
        self._result: tuple[_R | None, BaseException | None] | None = None
        self._ended = Event()

    # --- on the loop's thread ---------------------------------------------------------

    def keep(self, hold: _Hold) -> None:
        """Keep the hold in the loop."""
        self._timer = weakref.ref(self._loop.call_later(_YEAR, hold))

    def _start(self) -> None:
        self.keep(_Hold(self))
        self._is_kept = True
        self._driver = self._drive()
        try:
            self._task = self._loop.create_task(self._driver, context=self._context)
        except Exception as error:  # a factory of the user's
            self._end(None, error)
        else:
            self._task.add_done_callback(self._on_done)

    async def _drive(self) -> None:
        self._has_begun = True
        assert self._awaitable is not None
        try:
            value = await self._awaitable
        except GeneratorExit:  # nobody runs it any more
            raise
        except BaseException as error:
            # Of those that would end the loop too: who waits gets them.
            self._result = None, error
        else:
            self._result = value, None

    def _on_done(self, _: object) -> None:
        self._end(*(self._result or (None, asyncio.CancelledError())))

    def _cancel(self, reason: object) -> None:
        if self._task is not None:
            self._task.cancel(reason)

    # --- on any thread ----------------------------------------------------------------

    def start_soon(self) -> None:
        """Have the loop run the coroutine."""
        if self._is_own:
            _core._expect(1)
        try:
            self._loop.call_soon_threadsafe(self._start, context=contextvars.Context())
        except RuntimeError:  # it is closed
            self.lose()

    def lose(self) -> None:
        """The loop is closed: nobody will run the coroutine."""
        if not self._outcomes:
            message = (
                f"the event loop {self._loop!r} was closed before the coroutine "
                "had ended: close it when nobody waits for it any more"
            )
            self._end(None, RuntimeError(message))

    def _end(self, value: _R | None, error: BaseException | None) -> None:
        outcome = value, error
        self._outcomes.append(outcome)
        if self._outcomes[0] is not outcome:
            return
        if not self._has_begun:
            close(self._driver)
            close(self._awaitable)
        timer = None if self._timer is None else self._timer()
        if timer is not None:
            timer.cancel()
        self._driver = self._task = self._timer = self._awaitable = self._result = None
        if self._is_own:
            _core._expect(-1)
        self._ended.set()

    # --- who waits --------------------------------------------------------------------

    def wait(self, timeout: float | None) -> _R:
        """Wait for the end; cancel the coroutine if that is cut short."""
        request: BaseException | None = None
        try:
            if not self._wait_for_end(timeout):
                request = TimeoutError(
                    f"the coroutine was not done after {timeout} seconds"
                )
        except BaseException as error:
            request = error
        try:
            if request is not None:
                request = self._wait_for_cancellation(request)
            if request is not None:
                raise request
            return self._outcome()
        finally:
            del request  # its traceback refers to this frame

    def _wait_for_end(self, timeout: float | None) -> bool:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not self._is_kept:
            left = deadline - time.monotonic()
            if self._ended.wait(min(left, _GLANCE)):
                return True
            if self._loop.is_closed():
                self.lose()
            elif left <= _GLANCE:
                return False
        left = deadline - time.monotonic()
        return self._ended.wait(None if timeout is None else left)

    def _wait_for_cancellation(self, request: BaseException) -> BaseException | None:
        """Cancel the coroutine and wait for its end; return what to raise, if not that.

        Interrupts are for the program, whatever becomes of the coroutine; a second one
        ends the wait.
        """
        is_interrupt = not isinstance(request, Cancelled | TimeoutError)
        reason = request.args[0] if request.args and not is_interrupt else None
        with contextlib.suppress(RuntimeError):  # it is closed, and the hold tells
            self._loop.call_soon_threadsafe(
                self._cancel, reason, context=contextvars.Context()
            )
        while not self._ended.is_set():
            try:
                with CancelScope(shield=True):
                    self._wait_for_end(None)
            except Cancelled:  # the process ends
                return request
            except BaseException as error:
                if is_interrupt:
                    return error
                is_interrupt, request = True, error
        was_cancelled = isinstance(self._outcomes[0][1], asyncio.CancelledError)
        return request if is_interrupt or was_cancelled else None

    def _outcome(self) -> _R:
        value, error = self._outcomes[0]
        # Its traceback refers to the frame, that to self: without this, a circle.
        self._outcomes[0] = None, None
        try:
            if error is None:
                return cast(_R, value)
            if not isinstance(error, asyncio.CancelledError):
                raise error
            if self._is_own and background.is_ending(self._loop):
                raise RuntimeError(
                    "taskrt's event loop was closed before the coroutine had ended: "
                    "the process ends, or has called shutdown()"
                ) from error
            raise CancelledError(
                "the coroutine was cancelled in its event loop", *error.args
            ) from error
        finally:
            del error
