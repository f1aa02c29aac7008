"""Calls that block their thread, made where that holds up no task.

A pool of threads grows with the calls that run at the same time, up to a limit, and
shrinks when there are fewer. `concurrent.futures.ThreadPoolExecutor` has the first half
of that: its threads stay until the process ends, a call cannot be taken out of its
queue without a look at all before it, and the runtime could not tell a thread that has
a call from one that is idle, which it must to know that nothing can come any more.
"""

import contextvars
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from taskrt import _core, runtime
from taskrt._config import read_settings
from taskrt._core import Waiter

__all__ = ["blocking", "run_blocking"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

# How long a thread without a call stays, in seconds. To start one costs as much as ten
# calls, and one that is idle costs its stack: for calls that come every few seconds it
# is kept, and after a burst it goes. Tokio's pool for the same purpose waits as long.
IDLE_S = 10.0


class _Call(Generic[_R]):
    """A call, and what became of it. What has no underscore: under the pool's lock."""

    __slots__ = (
        "_args",
        "_context",
        "_count",
        "_error",
        "_fn",
        "_kwargs",
        "_result",
        "ended",
        "given_up",
        "taken",
        "waiter",
    )

    def __init__(
        self, fn: Callable[..., _R], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._fn: Callable[..., _R] | None = fn
        self._args = args
        self._kwargs = kwargs
        self._context = contextvars.copy_context()
        self._result: _R | None = None
        self._error: BaseException | None = None
        self.waiter = Waiter()  # constant
        self.taken = False  # a thread has it, which will end it
        self.ended = False
        self.given_up = False  # nobody waits for it
        self._count = _core._call_begin()

    def run(self) -> None:
        """Make the call, and let go of what it was made with."""
        fn, args, kwargs = self._fn, self._args, self._kwargs
        self._forget()
        assert fn is not None
        forks = _pool.forks
        try:
            self._result = self._context.run(fn, *args, **kwargs)
        except BaseException as error:
            self._error = error
        if _pool.forks != forks:
            runtime._end_child(self._error)

    def _forget(self) -> None:
        self._fn = None
        self._args = ()
        self._kwargs = {}

    def uncount(self) -> None:
        """Say that nothing comes from it any more."""
        self._forget()
        _core._call_end(self._count)

    def outcome(self) -> _R:
        """Return the result, or raise the error; once."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # whose traceback leads here
        return cast(_R, self._result)

    def report(self) -> None:
        """Report the error that nobody waits for, if there is one."""
        if self._error is not None:
            where = "a call of run_blocking(), whose caller waits no more"
            _core._call_report(self._error, where)
            self._error = None


class _Thread(runtime.HelperThread):
    """A thread of the pool."""

    def __init__(self, pool: "_Pool", call: _Call[Any], number: int) -> None:
        super().__init__(name=f"taskrt-blocking-{number}", daemon=False)
        self._pool = pool
        self.call: _Call[Any] | None = call
        self.signal = threading.Lock()  # released by who has given it a call, or none
        self.signal.acquire()

    def run(self) -> None:
        call = self._pool.begin(self)
        while call is not None:
            _core._call_run(call.run)
            # Idle before the waiter knows: its next call finds this thread.
            is_wanted, next_call, is_idle = self._pool.end(call, self)
            if is_wanted:
                call.waiter.wake()
            else:
                call.report()
            call.uncount()
            call = next_call
            next_call = None
            if is_idle:
                call = self._pool.rest(self)
        self.note_end()


class _Pool:
    """The threads, and the queue of calls for which there is none.

    The lock is never held over a suspension or the start of a thread; re-entrant, for
    what a collection runs meanwhile. A signal handler may raise after any call on main:
    so there is none between the steps of a change.
    """

    def __init__(self) -> None:
        self.forks = 0  # between this process and the first one
        self._hooked = False
        self.is_over = False  # the process exits: calls are made on the spot
        self._numbers = 0
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._most = 0  # threads; 0: to be read from the settings
        self._count = 0  # threads that have started and not left
        self._is_closing = False  # nobody stays idle
        self._idle: list[_Thread] = []  # the most recent last
        self._queue: OrderedDict[_Call[Any], None] = OrderedDict()

    def _prepare(self) -> None:
        """Before the first call, and after `close`. Caller holds the lock."""
        self._most = read_settings().max_blocking
        self._is_closing = False
        if not self._hooked:
            self._hooked = True
            runtime._after_end.append(self.close)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin anew in a forked child: the threads and their calls are the parent's.

        The thread that has forked may be one of them: it is main now.
        """
        self.forks += 1
        self._reset()

    def submit(self, call: _Call[Any]) -> None:
        """Have the call made, now or when a thread is free.

        Raises RuntimeError if no thread can be started and there is none.
        """
        thread = None
        try:
            with self._lock:
                if self._most == 0:
                    runtime.check_unpatched("run_blocking()", "threading")
                    self._prepare()
                if self._idle or self._count >= self._most:
                    self._give(call)
                else:
                    self._numbers += 1
                    thread = _Thread(self, call, self._numbers)
                    self._count += 1
            if thread is not None:
                runtime.start_thread(thread)
        except BaseException as error:
            if thread is None or not self._gave_back(thread, call, error):
                raise

    def _give(self, call: _Call[Any]) -> None:
        """Give the call to an idle thread, or else queue it. Caller holds the lock."""
        if self._idle:
            thread = self._idle[-1]
            del self._idle[-1]
            call.taken = True
            thread.call = call
            thread.signal.release()
        else:
            self._queue[call] = None

    def _gave_back(
        self, thread: _Thread, call: _Call[Any], error: BaseException
    ) -> bool:
        """Take the call from a thread whose start was interrupted or has failed.

        True: other threads have it now. False: none has it, or that thread after all.
        """
        with self._lock:
            if call.taken:
                return False
            thread.call = None  # if the thread comes yet, it has nothing to do
            self._count -= 1
            if self._count == 0 or not isinstance(error, RuntimeError):
                return False
            self._give(call)
            return True

    def is_refused(self, call: _Call[Any], error: BaseException) -> bool:
        """Return whether there is no thread for a call since the process exits."""
        with self._lock:
            return (
                isinstance(error, RuntimeError)
                and runtime._exiting
                and not call.taken
                and call not in self._queue
            )

    def begin(self, thread: _Thread) -> _Call[Any] | None:
        """Return the first call of a thread; None: it is to end."""
        with self._lock:
            call, thread.call = thread.call, None
            if call is None:
                return None
            if call.given_up:
                self._count -= 1
                return None
            call.taken = True
            return call

    def end(
        self, call: _Call[Any], thread: _Thread
    ) -> tuple[bool, _Call[Any] | None, bool]:
        """Note the end of a call.

        Return whether somebody waits for it, the thread's next one, and whether the
        thread is idle now. With neither it ends.
        """
        with self._lock:
            call.ended = True
            is_wanted = not call.given_up
            if self._queue:
                next_call, _ = self._queue.popitem(last=False)
                next_call.taken = True
                return is_wanted, next_call, False
            if self._is_closing or not threading.main_thread().is_alive():
                self._count -= 1
                return is_wanted, None, False
            self._idle.append(thread)
            return is_wanted, None, True

    def rest(self, thread: _Thread) -> _Call[Any] | None:
        """Wait for the next call of an idle thread; None: it is to end."""
        if not thread.signal.acquire(timeout=IDLE_S):
            with self._lock:
                if thread in self._idle:
                    self._idle.remove(thread)
                    self._count -= 1
                    return None
            thread.signal.acquire()  # it was given a call just now
        call, thread.call = thread.call, None
        return call

    def give_up(self, call: _Call[Any]) -> None:
        """Note that nobody waits for the call; if it has not started it never does."""
        with self._lock:
            call.given_up = True
            self._queue.pop(call, None)
            was_taken, has_ended = call.taken, call.ended
        if not was_taken:
            call.uncount()
        elif has_ended:
            call.report()

    def close(self, is_exit: bool) -> bool:
        """End the idle threads; return whether no other has a call.

        Those end after it, and at exit the interpreter waits for them. The next call
        begins anew.
        """
        threads = []
        with self._lock:
            self._is_closing = True
            self.is_over = self.is_over or is_exit
            self._most = 0
            while self._idle:
                thread = self._idle[-1]
                del self._idle[-1]
                self._count -= 1
                thread.signal.release()
                threads.append(thread)
            runs_none = self._count == 0
        for thread in threads:
            thread.join()
        return runs_none


_pool = _Pool()


def run_blocking(fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call fn(*args, **kwargs) on a thread outside of the pool; return its result.

    For code that blocks its thread: only the task waits, and others run meanwhile. At
    most TASKRT_MAX_BLOCKING calls run at once, 256 unless that says otherwise; others
    start in the order in which they came. The call sees a copy of the present context
    variables, and is in no task. If the wait is cancelled, a call that has started goes
    on to its end: its result is dropped, an error is reported to `sys.unraisablehook`;
    one that has not started never does. The ends of the process and of `shutdown` wait
    for calls that run. Raises what fn raises, the same object; TypeError if fn is not
    callable, Cancelled, ValueError if an environment variable of taskrt is wrong,
    RuntimeError while taskrt shuts down or if no thread can be started. A suspension
    point and a checkpoint; any thread. Source: `asyncio.to_thread`, and Tokio's
    spawn_blocking.

    >>> from taskrt import run_blocking
    >>> run_blocking(divmod, 7, 2)
    (3, 1)
    """
    if not callable(fn):
        raise TypeError(
            f"run_blocking() takes a callable first, not {type(fn).__name__!r}"
        )
    _core.checkpoint()
    call = _Call(fn, args, kwargs)
    if _pool.is_over:
        return _call_here(call)
    try:
        _pool.submit(call)
        call.waiter.park()
    except BaseException as error:
        if _pool.is_refused(call, error):
            return _call_here(call)
        _pool.give_up(call)
        raise
    return call.outcome()


def _call_here(call: _Call[_R]) -> _R:
    """Make a call on the spot, at the end of the process."""
    try:
        call.run()
    finally:
        call.uncount()
    return call.outcome()


class blocking:  # noqa: N801 - used as a statement
    """A region of code that blocks its thread, and says so: ``with blocking(): ...``.

    The code stays where it is, and so does what this thread has started, which waits
    until the region ends. But tasks that nobody has started go on: a region that lasts
    longer than 100 us brings in a spare thread for them, which ends what it has begun
    and then rests. Regions within one another count once. In a region a task may wait
    for others as always; the region is interrupted while its stack is left, and while
    a task runs inside of it as a call. On threads other than main and the pool's it
    does nothing. `run_blocking` is better where it can be used: it blocks no worker.

    >>> import threading
    >>> from taskrt import blocking, fetch, spawn
    >>> event = threading.Event()
    >>> task = spawn(event.set)
    >>> with blocking():
    ...     event.wait()
    True
    """

    __module__ = "taskrt"
    __slots__ = ()

    def __enter__(self) -> None:
        """Begin. Not a suspension point."""
        _core._blocking_begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End. Not a suspension point."""
        _core._blocking_end()
