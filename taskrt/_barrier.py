"""Barrier and Latch: those that come wait for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable

from taskrt._core import AtomicInt, CancelScope, Event, RLock
from taskrt._unique import Unique
from taskrt.statistics import BarrierStatistics, LatchStatistics


class _Round:
    """One filling of a barrier. Fields change under the barrier's lock."""

    __slots__ = ("arrived", "broken", "over")

    def __init__(self) -> None:
        self.arrived = 0
        self.broken = ""  # why, if it is
        self.over = Event()  # all have come and the action has run; or it is broken


class Barrier(Unique):
    """A point that `parties` tasks or threads pass together, again and again.

    parties  how many, at least 1
    action   what the last to come calls before all go on, with no lock held: it may
             spawn and fetch. If it raises, the barrier is broken
    timeout  seconds, for waits that give none themselves; None for no limit

    A `threading.Barrier` that parks the task. It breaks, for all that wait and will
    wait until it is `reset`, when one of those that wait is cancelled, interrupted or
    out of time, since it would never be complete: a party that gives up is not silently
    waited for. Those that were complete by then pass. Who comes while the action of one
    round runs is of the next.

    Raises ValueError if parties is less than 1.
    """

    __module__ = "taskrt"

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> None:
        if parties < 1:
            raise ValueError(f"parties must be 1 or more, not {parties}")
        self._parties = parties
        self._action = action
        self._timeout = timeout
        self._lock = RLock()
        self._round = _Round()

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<taskrt.Barrier at {id(self):#x}: {state}>"

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all have come; return a number from 0 to parties - 1, one each.

        timeout  seconds to wait at most for the others; None for the barrier's own

        Raises threading.BrokenBarrierError if it is or gets broken, by this wait too if
        time is up; what the action has raised, if this was the last to come; Cancelled.
        A suspension point and a checkpoint.
        """
        if timeout is None:
            timeout = self._timeout
        with self._lock:
            mine = self._round
            if mine.broken:
                raise threading.BrokenBarrierError(mine.broken)
            index = mine.arrived
            mine.arrived += 1
            is_last = mine.arrived == self._parties
            if is_last:
                self._round = _Round()
        if is_last:
            self._finish(mine)
        else:
            self._await(mine, timeout)
        return index

    def reset(self) -> None:
        """Make it whole and empty; those that wait get BrokenBarrierError.

        Not a checkpoint.
        """
        with CancelScope(shield=True), self._lock:
            before, self._round = self._round, _Round()
            self._break_locked(before, "the barrier was reset")

    def abort(self) -> None:
        """Break it, for those that wait and all that come before `reset`.

        Not a checkpoint.
        """
        with CancelScope(shield=True), self._lock:
            self._break_locked(self._round, "the barrier was aborted")

    @property
    def parties(self) -> int:
        """How many pass together."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many wait for the others at this moment."""
        now = self._round
        return 0 if now.broken else now.arrived

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return bool(self._round.broken)

    def statistics(self) -> BarrierStatistics:
        """Return a `taskrt.statistics.BarrierStatistics`. Not a suspension point."""
        now = self._round
        waiting = 0 if now.broken else now.arrived
        return BarrierStatistics(self._parties, bool(now.broken), waiting)

    def _finish(self, mine: _Round) -> None:
        """As the last to come: run the action and let all go on."""
        try:
            if self._action is not None:
                self._action()
        except BaseException as error:
            why = f"the action of the barrier has raised {type(error).__name__}"
            with CancelScope(shield=True), self._lock:
                self._break_locked(mine, why)
                self._break_locked(self._round, why)
            raise
        mine.over.set()

    def _await(self, mine: _Round, timeout: float | None) -> None:
        try:
            in_time = mine.over._wait(timeout, self)
            if not in_time and not self._give_up(mine, "was out of time"):
                mine.over._wait(
                    None, self
                )  # all have come: it is the action that takes longer
        except BaseException:
            self._give_up(mine, "was cancelled or interrupted")
            raise
        if mine.broken:
            raise threading.BrokenBarrierError(mine.broken)

    def _give_up(self, mine: _Round, why: str) -> bool:
        """Break this round, unless all have come; return whether it is broken."""
        with CancelScope(shield=True), self._lock:
            if mine.arrived < self._parties:
                self._break_locked(mine, f"one of those that waited {why}")
        return bool(mine.broken)

    def _break_locked(self, which: _Round, why: str) -> None:
        which.broken = which.broken or why
        which.over.set()


class Latch(Unique):
    """A count that goes down to zero once, and those that wait for that.

    n   what it starts from, 0 or more

    Source: std::latch of C++20, java.util.concurrent.CountDownLatch.

    >>> from taskrt import Latch, spawn
    >>> latch = Latch(2)
    >>> tasks = [spawn(latch.count_down) for _ in range(2)]
    >>> latch.wait()
    True

    Raises ValueError if n is negative, OverflowError if it needs more than 63 bits.
    """

    __module__ = "taskrt"

    def __init__(self, n: int) -> None:
        if n < 0:
            raise ValueError(f"a latch counts down from 0 or more, not from {n}")
        self._count = AtomicInt(n)
        self._open = Event()
        if n == 0:
            self._open.set()

    def __repr__(self) -> str:
        return f"<taskrt.Latch at {id(self):#x}: {self.count} to come>"

    @property
    def count(self) -> int:
        """What is left."""
        return self._count.load()

    def count_down(self, n: int = 1) -> None:
        """Take `n` off the count; at zero, all that wait go on.

        Raises ValueError, and takes off nothing, if n is less than 1 or more than is
        left. Any task, thread or signal handler. Not a suspension point.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, not {n}")
        left = self._count.load()
        while n <= left and not self._count.compare_exchange(left, left - n):
            left = self._count.load()
        if n > left:
            raise ValueError(f"cannot count down by {n}: only {left} left")
        if n == left:
            self._open.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the count is zero; return False if time is up first.

        timeout  seconds to wait at most, None for no limit

        Raises Cancelled. A suspension point and a checkpoint.
        """
        return self._open._wait(timeout, self)

    def statistics(self) -> LatchStatistics:
        """Return a `taskrt.statistics.LatchStatistics`. Not a suspension point."""
        return LatchStatistics(self.count, self._open.statistics().tasks_waiting)

    def arrive_and_wait(self, timeout: float | None = None) -> bool:
        """Count down by 1 and wait: `count_down`, then `wait`.

        What was counted stays so if the wait fails.
        """
        self.count_down()
        return self.wait(timeout)
