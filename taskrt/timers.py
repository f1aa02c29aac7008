"""Tasks that start later: after other tasks, after some time, again and again.

All that waits for a time is in one heap, with one keeper: a detached task that sleeps
until the next is due, and ends when there is none. A pending timer costs a task that
was not started and an entry of the heap; it holds up neither the exit of the process
nor `shutdown`, which cancel it.
"""

import contextvars
import heapq
import itertools
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar, TypeVarTuple

from taskrt import _core, runtime
from taskrt._core import Event, Task
from taskrt._deadlines import deadline_after
from taskrt._unique import Unique

__all__ = ["Timer", "spawn_after", "spawn_later"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Ts = TypeVarTuple("_Ts")

# What _core._make is told: 0 is a task that exit does not wait for while it is held.
_HELD = 0
_KEEPER = 1 | 2 | 4  # counted, not on main if there are other threads, detached


# Seconds between calls of one Timer at least: what a thread can keep up with and still
# do something else.
_SHORTEST = 1e-4


class _Keeper:
    """The heap of what is to happen later, and the task that sleeps until it is due."""

    def __init__(self) -> None:
        # Never held over a suspension; re-entrant for what a collection runs meanwhile.
        self._lock = threading.RLock()
        self._heap: list[tuple[float, int, Task[object] | Timer]] = []
        self._due: deque[Task[object] | Timer] = deque()  # taken out of that
        self._starting: Task[object] | Timer | None = None  # taken out of both
        self._numbers = itertools.count()  # so that targets are never compared
        self._event = Event(autoreset=True)
        self._task: Task[None] | None = None
        self._sweep_at = 64
        self._hooked = False

    def add(self, deadline: float, target: "Task[object] | Timer") -> None:
        """Let target run at this time of `time.monotonic`. Not a suspension point."""
        with self._lock:
            if not self._hooked:
                self._hook()
            if len(self._heap) >= self._sweep_at:
                self._sweep()
            entry = (deadline, next(self._numbers), target)
            heapq.heappush(self._heap, entry)
            is_next = self._heap[0][2] is target
            keeper = self._task
            if keeper is None or keeper.done():
                keeper = _core._make(_KEEPER, self._run)
                _core._subscribe(keeper, self._on_end)
                self._task = keeper
        # Nothing if it runs; if an interrupt comes before, the next call makes up for
        # it.
        _core._submit(keeper)
        if is_next:
            self._event.set()

    def _hook(self) -> None:
        self._hooked = True
        runtime._before_end.append(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin anew in a forked child: what was pending belongs to the parent."""
        hooked = self._hooked
        self.__init__()  # type: ignore[misc]
        self._hooked = hooked

    def _sweep(self) -> None:
        """Drop what was cancelled; amortised, at each doubling of the heap."""
        # What a collection adds meanwhile goes to the new one.
        entries, self._heap = self._heap, []
        for entry in entries:
            if not entry[2].done():
                heapq.heappush(self._heap, entry)
        self._sweep_at = max(64, 2 * len(self._heap))

    def stop(self, why: str = "the process ends, or has called shutdown()") -> None:
        """Cancel all that is pending, and let the keeper end."""
        with self._lock:
            targets = [*self._due, *(target for _, _, target in self._heap)]
            self._due.clear()
            self._heap.clear()
        self._event.set()
        for target in targets:
            target.cancel(why)

    def _on_end(self, keeper: Task[None]) -> None:
        """Leave nothing to a keeper that was cancelled, perhaps before it had begun."""
        if keeper is not self._task or keeper.state == "done":
            return
        starting, self._starting = self._starting, None
        if starting is not None:
            self._due.append(starting)
        if keeper.state == "failed":  # which is reported, as nobody fetches it
            self.stop("what keeps the timers has failed")
        else:
            self.stop()

    def _run(self) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    entry = heapq.heappop(self._heap)
                    self._due.append(entry[2])
                    del entry
                if not self._due and not self._heap:
                    self._task = None
                    return
                left = self._heap[0][0] - now if self._heap else 0
            if not self._due:
                self._event.wait(left)
                continue
            while (target := self._take()) is not None:
                _start(target, now)
            _core.yield_now()  # there may be as many as are due again after a round

    def _take(self) -> "Task[object] | Timer | None":
        with self._lock:
            self._starting = self._due[0] if self._due else None
            if self._due:
                self._due.popleft()
            return self._starting


def _start(target: "Task[object] | Timer", now: float) -> None:
    """Start what is due; if that fails, only this one ends."""
    try:
        if isinstance(target, Timer):
            target._fire(now)
        else:
            _core._submit(target)
    except Exception as error:
        target.cancel(f"it could not be started: {error!r}")
        _core._call_report(error, f"start of {target!r}")


_keeper = _Keeper()


def spawn_later(
    delay: float, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
) -> Task[_R]:
    """Call fn(*args, **kwargs) in a new task, delay seconds from now; return the Task.

    Until then it is pending: `Task.cancel` prevents the call, fetch waits, and the end
    of the process cancels it. The task sees a copy of the present context variables.
    It starts when a thread is free, so perhaps later; with one thread in the pool, when
    the main thread waits. Raises ValueError if delay is negative or NaN, TypeError if
    it is no number, and what spawn raises. Not a suspension point; any thread.

    >>> from taskrt import fetch, spawn_later
    >>> fetch(spawn_later(0.001, pow, 2, 3))
    8
    """
    deadline = deadline_after("delay", delay)
    task = _core._make(_HELD, fn, *args, **kwargs)
    _keeper.add(deadline, task)
    return task


class Timer(Unique):
    """A call of fn(*args) in a task, after delay seconds, and perhaps again and again.

    delay     seconds until the first call, 0 or more
    interval  seconds from one call to the next, more than 0; less than 0.0001 counts as
              that; None: only one call

    Runs from now on, also if nobody keeps the object. Calls do not pile up: those that
    are due while an earlier one still runs, or that come late by an interval or more,
    are left out; the others keep to the times that were asked for. A call that fails is
    reported to `sys.unraisablehook`. Pending ones do not hold up the end of the
    process. Raises ValueError for other numbers, and what spawn raises. Not a
    suspension point; any thread. Source: Julia's Timer.

    >>> from taskrt import Timer
    >>> timer = Timer(60, print, "a minute has passed", interval=60)
    >>> timer.cancel()
    True
    """

    __module__ = "taskrt"
    __slots__ = (
        "__weakref__",
        "_args",
        "_context",
        "_deadline",
        "_fn",
        "_interval",
        "_lock",
        "_next",
        "_over",
        "_running",
    )

    def __init__(
        self,
        delay: float,
        fn: Callable[[*_Ts], object],
        /,
        *args: *_Ts,
        interval: float | None = None,
    ) -> None:
        if interval is not None and not interval > 0:
            raise ValueError(
                f"interval must be a number above 0, or None, not {interval!r}"
            )
        self._deadline = deadline_after("delay", delay)
        self._interval = None if interval is None else max(interval, _SHORTEST)
        self._fn: Callable[..., object] = fn
        self._args: tuple[object, ...] = args
        self._context = contextvars.copy_context()
        self._lock = threading.RLock()
        self._over = False
        self._running: Task[object] | None = None
        self._next = self._make()
        _keeper.add(self._deadline, self)

    def _make(self) -> Task[object]:
        return _core._make(_HELD, self._fn, *self._args).report_errors()

    def _fire(self, now: float) -> None:
        with self._lock:
            if self._over:
                return
            if self._running is None or self._running.done():
                self._running = self._next
                _core._submit(self._running)
                if self._interval is None:
                    self._over = True
                    return
                self._next = self._context.run(self._make)
            assert self._interval is not None
            since = math.fmod(max(0, now - self._deadline), self._interval)
            self._deadline = deadline = now - since + self._interval
        _keeper.add(deadline, self)

    def cancel(self, msg: object = None) -> bool:
        """Make no further call; return whether there would have been one.

        A call that runs goes on. Any thread, any time, again. Not a suspension point.
        """
        with self._lock:
            if self._over:
                return False
            self._over = True
            task = self._next
        return task.cancel(msg)

    def done(self) -> bool:
        """Return whether there will be no further call. Not a suspension point."""
        return self._over


def spawn_after(
    deps: Task[object] | Iterable[Task[object]],
    fn: Callable[_P, _R],
    /,
    *args: _P.args,
    **kwargs: _P.kwargs,
) -> Task[_R]:
    """Call fn(*args, **kwargs) in a new task once all of deps have ended; return it.

    deps  a task, or any number of them

    Until then it is pending: a fetch waits, `Task.cancel` prevents the call. If one of
    them fails or was cancelled, the new one is cancelled, at once and with that as its
    message; the failure does not count as observed. The results are not passed on: fn
    fetches what it needs. The task sees a copy of the present context variables. Raises
    TypeError if one of deps is no task, and what spawn raises. Not a suspension point;
    any thread. Source: Taskflow's successors.

    >>> from taskrt import fetch, spawn, spawn_after
    >>> first = spawn(pow, 2, 3)
    >>> fetch(spawn_after(first, lambda: fetch(first) + 1))
    9
    """
    found = [deps] if isinstance(deps, Task) else list(deps)
    for dep in found:
        if not isinstance(dep, Task):
            raise TypeError(
                f"deps must be taskrt.Task objects, not {type(dep).__name__!r}"
            )
    return _core._spawn_after(found, fn, *args, **kwargs)
