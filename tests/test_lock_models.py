"""Random steps of locks, semaphores and conditions, each compared with a small model.

On one thread, and each step is taken to its end before the next: then who gets what is
certain.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)
from support.gates import pinned

import taskrt
from taskrt import (
    BoundedSemaphore,
    Condition,
    Lock,
    RLock,
    Semaphore,
    Task,
    Waiter,
    yield_now,
)


class OneThread(RuleBasedStateMachine):
    """A machine whose steps run to their end."""

    def __init__(self) -> None:
        super().__init__()
        self.threads_before = taskrt.num_threads()
        taskrt.set_num_threads(1)

    def settle(self) -> None:
        """Run what can run."""
        while yield_now():
            pass

    def teardown(self) -> None:
        self.close()
        taskrt.set_num_threads(self.threads_before)

    def close(self) -> None:
        raise NotImplementedError


class PermitsMachine(OneThread):
    """Tasks that want a permit, hold it until they are told to go, or are cancelled."""

    permits: ClassVar[int] = 1
    make: ClassVar[Any]

    guests = Bundle("guests")

    def __init__(self) -> None:
        super().__init__()
        self.real = type(self).make()
        self.free = self.permits
        self.queue: list[int] = []
        self.holders: list[int] = []
        self.entered: list[int] = []
        self.tasks: list[Task[None]] = []
        self.leave: list[Waiter] = []

    def guest(self, me: int) -> None:
        with self.real:
            self.entered.append(me)
            try:
                self.leave[me].park()
            finally:
                self.entered.remove(me)

    @rule(target=guests)
    def come(self) -> int:
        me = len(self.tasks)
        self.leave.append(Waiter())
        self.tasks.append(pinned(self.guest, me))
        self.settle()
        if self.free:
            self.free -= 1
            self.holders.append(me)
        else:
            self.queue.append(me)
        return me

    def give_back(self) -> None:
        if self.queue:
            self.holders.append(self.queue.pop(0))
        else:
            self.free += 1

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        me = data.draw(st.sampled_from(self.holders))
        self.leave[me].wake()
        self.settle()
        self.holders.remove(me)
        self.give_back()

    @rule(guest=consumes(guests))
    def cancel(self, guest: int) -> None:
        self.tasks[guest].cancel()
        self.settle()
        if guest in self.queue:
            self.queue.remove(guest)
        elif guest in self.holders:
            self.holders.remove(guest)
            self.give_back()

    @precondition(lambda self: self.holders and self.queue)
    @rule(cancel_first=st.booleans())
    def go_and_cancel_the_next(self, cancel_first: bool) -> None:
        """Both before either has run."""
        me, following = self.holders.pop(0), self.queue.pop(0)
        if cancel_first:
            self.tasks[following].cancel()
        self.leave[me].wake()
        if not cancel_first:
            self.tasks[following].cancel()
        self.settle()
        self.give_back()

    @rule(timeout=st.sampled_from([None, 0, 1e-6]))
    def try_it(self, timeout: float | None) -> None:
        if timeout is None:
            got = self.real.acquire(False)
        else:
            got = self.real.acquire(timeout=timeout)
        assert got is (self.free > 0)
        if got:
            self.real.release()

    @invariant()
    def agrees(self) -> None:
        assert sorted(self.entered) == sorted(self.holders)
        for me in self.queue + self.holders:
            assert self.tasks[me].state == "suspended"
        active = {*self.queue, *self.holders}
        assert all(t.done() for me, t in enumerate(self.tasks) if me not in active)

    def close(self) -> None:
        for me in list(self.queue + self.holders):
            self.tasks[me].cancel()
        self.settle()
        for _ in range(self.permits):
            assert self.real.acquire(False)


class LockMachine(PermitsMachine):
    make = Lock


class RLockMachine(PermitsMachine):
    make = RLock


class SemaphoreMachine(PermitsMachine):
    permits = 3

    @staticmethod
    def make() -> Semaphore:
        return Semaphore(3)


class BoundedSemaphoreMachine(PermitsMachine):
    permits = 2

    @staticmethod
    def make() -> Semaphore:
        return BoundedSemaphore(2)


class ConditionMachine(OneThread):
    """Tasks that wait, are notified, are cancelled, and both at the same moment."""

    def __init__(self) -> None:
        super().__init__()
        self.real = Condition()
        self.queue: list[int] = []
        self.notified: set[int] = set()
        self.cancelled: set[int] = set()
        self.tasks: list[Task[bool]] = []

    def guest(self) -> bool:
        with self.real:
            return self.real.wait()

    def notify_model(self, n: int) -> None:
        self.notified.update(self.queue[:n])
        del self.queue[:n]

    @rule(count=st.integers(1, 5))
    def come(self, count: int) -> None:
        for _ in range(count):
            self.queue.append(len(self.tasks))
            self.tasks.append(pinned(self.guest))
            self.settle()

    @rule(n=st.integers(-1, 4))
    def notify(self, n: int) -> None:
        with self.real:
            self.real.notify(n)
        self.settle()
        self.notify_model(max(n, 0))

    @rule()
    def notify_all(self) -> None:
        with self.real:
            self.real.notify_all()
        self.settle()
        self.notify_model(len(self.queue))

    @rule(timeout=st.sampled_from([0, 1e-6]))
    def time_out(self, timeout: float) -> None:
        with self.real:
            assert self.real.wait(timeout) is False

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), n=st.integers(1, 3), cancel_first=st.booleans())
    def notify_and_cancel(
        self, data: st.DataObject, n: int, cancel_first: bool
    ) -> None:
        victim = data.draw(st.sampled_from(self.queue))
        with self.real:
            if cancel_first:
                self.tasks[victim].cancel()
            self.real.notify(n)
            if not cancel_first:
                self.tasks[victim].cancel()
        self.settle()
        if cancel_first or victim not in self.queue[:n]:
            # Its notification, if it has got one, goes to the next.
            self.queue.remove(victim)
            self.cancelled.add(victim)
        self.notify_model(n)

    @invariant()
    def agrees(self) -> None:
        for me, task in enumerate(self.tasks):
            if me in self.queue:
                assert task.state == "suspended"
            elif me in self.cancelled:
                assert task.cancelled()
            else:
                assert task.result(0) is True
        assert self.notified.isdisjoint(self.cancelled)
        assert repr(self.real).endswith(f", {len(self.queue)})>")

    def close(self) -> None:
        with self.real:
            self.real.notify_all()
        self.settle()


STEPS = settings(max_examples=60, stateful_step_count=40, deadline=None)

for machine in (
    LockMachine,
    RLockMachine,
    SemaphoreMachine,
    BoundedSemaphoreMachine,
    ConditionMachine,
):
    machine.TestCase.settings = STEPS

TestLock = LockMachine.TestCase
TestRLock = RLockMachine.TestCase
TestSemaphore = SemaphoreMachine.TestCase
TestBoundedSemaphore = BoundedSemaphoreMachine.TestCase
TestCondition = ConditionMachine.TestCase
