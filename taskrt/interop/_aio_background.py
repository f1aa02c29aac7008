"""The event loop of taskrt's own, on a thread of its own; one a process."""

import asyncio
import concurrent.futures.thread  # not later: it cannot be imported as the process ends
import os
import sys
import threading
from collections.abc import Callable

from taskrt import _core, runtime

__all__ = ["background"]


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop from uvloop if it is there.

    Not without the GIL: modules that do not know of that switch it on.
    """
    is_gil_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    if is_gil_enabled():
        try:
            import uvloop
        except ImportError:
            pass
        else:
            loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
            return loop
    return asyncio.new_event_loop()


class _Background:
    """Starts the loop when it is first needed, and ends it with the runtime."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # Re-entrant for what a collection runs meanwhile; never held over a suspension.
        self._lock = threading.RLock()
        self._hooked = False
        self._ending: asyncio.AbstractEventLoop | None = None
        self._is_over = False

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs. Not a suspension point; any thread."""
        with self._lock:
            if self._is_over:
                raise RuntimeError(
                    "cannot run a coroutine: taskrt is shutting down; call "
                    "from_async() before the main thread ends"
                )
            if self.loop is None:
                self._start()
            assert self.loop is not None
            return self.loop

    def is_ending(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether this is a loop that `stop` has ended, the last time."""
        return self._ending is loop

    def _start(self) -> None:
        runtime.check_unpatched("from_async()", "threading", "select")
        loop = _new_loop()
        started = threading.Event()
        thread = threading.Thread(
            target=_run, args=(loop, started), name="taskrt-aio", daemon=True
        )
        try:
            runtime.start_thread(thread, started)
        except BaseException as error:
            if not isinstance(error, RuntimeError):
                loop.call_soon_threadsafe(loop.stop)  # interrupted: the thread ends it
                raise
            loop.close()
            if runtime._exiting:
                raise RuntimeError(
                    "cannot run a coroutine: the process exits, and Python starts no "
                    "thread for the event loop any more; call from_async() once before "
                    "the main thread ends"
                ) from error
            raise
        self.loop, self._thread = loop, thread
        if not self._hooked:
            self._hooked = True
            runtime._after_end.append(self.stop)
            runtime._idle_threads.append(self._idle)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin anew in a forked child.

        The parent's loop is never freed: closing it would reach what both share.
        """
        _parents.append(self.loop)
        hooked = self._hooked
        self.__init__()  # type: ignore[misc]
        self._hooked = hooked

    def _idle(self) -> list[int]:
        """Return the thread's identifier if no coroutine runs there."""
        loop, thread = self.loop, self._thread
        if loop is None or thread is None or thread.ident is None:
            return []
        try:
            is_idle = not asyncio.all_tasks(loop)
        except RuntimeError:  # there are ever more
            is_idle = False
        return [thread.ident] if is_idle else []

    def stop(self, for_good: bool) -> bool:
        """Cancel what runs in the loop, wait for that, and close it; return True.

        Called on main when the runtime has ended. Ctrl-C ends the wait.
        """
        with self._lock:
            self._is_over = for_good
            loop, thread = self.loop, self._thread
            self.loop = self._thread = None
            self._ending = loop
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
        return True


_parents: list[object] = []
background = _Background()
_ = concurrent.futures.thread


def _run(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
    """Run the loop until it is stopped, then end what it has and close it."""
    _core._serve_tasks()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().call_soon(started.set)
        while True:
            try:
                loop.run_forever()
                break
            except BaseException as error:
                # SystemExit and the like, from what a coroutine has left behind: here
                # it ends nothing but a loop that others use.
                loop.call_exception_handler(
                    {"message": "raised in taskrt's event loop", "exception": error}
                )
