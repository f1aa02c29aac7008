"""What the type checkers must say of the primitives. Checked, never run."""

from typing import assert_type

from taskrt import (
    AtomicInt,
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Latch,
    Lock,
    Once,
    OncePerTask,
    RLock,
    Semaphore,
    Waiter,
    once,
)
from taskrt.statistics import LockStatistics, SemaphoreStatistics

for lock in (Lock(), RLock(), Semaphore(2), BoundedSemaphore()):
    assert_type(lock.acquire(), bool)
    assert_type(lock.acquire(False), bool)
    assert_type(lock.acquire(timeout=1.5), bool)
    assert_type(lock.release(), None)
    with lock as entered:
        assert_type(entered, bool)
Semaphore().release(2)
Lock(1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]

assert_type(Lock().statistics(), LockStatistics)
assert_type(RLock().statistics().owner, str | None)
assert_type(BoundedSemaphore().statistics(), SemaphoreStatistics)
assert_type(Condition().statistics().lock, LockStatistics | None)
assert_type(Event().statistics().tasks_waiting, int)
assert_type(Waiter().statistics().has_token, bool)
assert_type(Barrier(2).statistics().broken, bool)
assert_type(Latch(2).statistics().count, int)

condition = Condition(Lock())
with condition:
    assert_type(condition.wait(), bool)
    assert_type(condition.wait_for(lambda: 3, timeout=1), int)
    condition.notify(2)
    condition.notify_all()

event = Event(autoreset=True)
assert_type(event.wait(1), bool)
assert_type(event.is_set(), bool)

waiter = Waiter()
assert_type(waiter.park(timeout=None), bool)
assert_type(waiter.wake(), bool)

assert_type(Barrier(3, lambda: None, timeout=1).wait(), int)
assert_type(Latch(3).arrive_and_wait(0.5), bool)

number = AtomicInt(1)
assert_type(number.fetch_add(), int)
assert_type(number.compare_exchange(1, number), bool)
assert_type(int(number), int)


@once
def settings() -> dict[str, int]:
    return {}


assert_type(settings, Once[dict[str, int]])
assert_type(settings(), dict[str, int])


@OncePerTask
def scratch() -> bytearray:
    return bytearray(8)


assert_type(scratch, OncePerTask[bytearray])
assert_type(scratch(), bytearray)
