"""statistics(): who waits, who owns, what is there, at one moment."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import here, join, until, until_suspended

from taskrt import (
    Barrier,
    BoundedSemaphore,
    Channel,
    Condition,
    Event,
    Latch,
    Lock,
    Queue,
    RLock,
    Semaphore,
    Spawner,
    Task,
    Waiter,
    fetch,
    select,
    spawn,
    wait,
)
from taskrt import statistics as s


def suspended(*calls: Callable[[], object]) -> list[Task[object]]:
    """Spawn these, and return once all of them wait."""
    tasks = [spawn(call) for call in calls]
    until_suspended(*tasks)
    return tasks


def until_it_says(thing: Any, expected: object) -> None:
    """A task is suspended a moment before it has a place in a queue."""
    until(lambda: thing.statistics() == expected)


def end(tasks: list[Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    wait(*tasks)


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_lock(kind: type[Lock], threads: int) -> None:
    lock = kind()
    assert lock.statistics() == s.LockStatistics(False, None, 0)

    def own() -> list[Task[object]]:
        with lock:
            tasks = suspended(lock.acquire, lock.acquire)
            until_it_says(lock, s.LockStatistics(True, f"Task-{here().id}", 2))
            end(tasks)
            assert lock.statistics().tasks_waiting == 0
        return tasks

    fetch(Spawner(name="has a name")(own))
    assert lock.statistics() == s.LockStatistics(False, None, 0)
    with lock:
        me = f"thread-{threading.get_ident()}"
        assert lock.statistics() == s.LockStatistics(True, me, 0)


@pytest.mark.parametrize("kind", [Semaphore, BoundedSemaphore])
def test_semaphore(kind: type[Semaphore], threads: int) -> None:
    semaphore = kind(2)
    bound = 2 if kind is BoundedSemaphore else None
    assert semaphore.statistics() == s.SemaphoreStatistics(2, bound, 0)
    semaphore.acquire()
    semaphore.acquire()
    tasks = suspended(semaphore.acquire, semaphore.acquire)
    until_it_says(semaphore, s.SemaphoreStatistics(0, bound, 2))
    semaphore.release()
    until(lambda: sum(task.done() for task in tasks) == 1)
    assert semaphore.statistics() == s.SemaphoreStatistics(0, bound, 1)
    end(tasks)


def test_condition(threads: int) -> None:
    lock = Lock()
    condition = Condition(lock)

    def waits() -> None:
        with condition:
            condition.wait()

    tasks = suspended(waits, waits)
    free = s.LockStatistics(False, None, 0)
    until_it_says(condition, s.ConditionStatistics(2, free))
    with condition:
        assert condition.statistics().lock == lock.statistics() != free
        condition.notify()
        assert condition.statistics().tasks_waiting == 1
    until(lambda: any(task.done() for task in tasks))
    end(tasks)
    with Condition(threading.Lock()) as other:
        assert other
    assert Condition(threading.Lock()).statistics() == s.ConditionStatistics(0, None)


@pytest.mark.parametrize("autoreset", [False, True])
def test_event(autoreset: bool, threads: int) -> None:
    event = Event(autoreset)
    assert event.statistics() == s.EventStatistics(False, 0)
    tasks = suspended(event.wait, lambda: select(event.wait_op(), event.wait_op()))
    until_it_says(event, s.EventStatistics(False, 3))
    end(tasks)
    event.set()
    assert event.statistics() == s.EventStatistics(True, 0)


def test_waiter() -> None:
    waiter = Waiter()
    [task] = suspended(waiter.park)
    until_it_says(waiter, s.WaiterStatistics(False, 1))
    waiter.wake()
    wait(task)
    waiter.wake()
    assert waiter.statistics() == s.WaiterStatistics(True, 0)


def test_barrier_and_latch(threads: int) -> None:
    barrier, latch = Barrier(3), Latch(2)
    tasks = suspended(barrier.wait, barrier.wait, latch.wait)
    until_it_says(barrier, s.BarrierStatistics(3, False, 2))
    until_it_says(latch, s.LatchStatistics(2, 1))
    latch.count_down()
    assert latch.statistics() == s.LatchStatistics(1, 1)
    barrier.abort()
    assert barrier.statistics() == s.BarrierStatistics(3, True, 0)
    end(tasks)
    tasks[0].exception()
    tasks[1].exception()


def test_channel(threads: int) -> None:
    channel: Channel[int] = Channel(1)
    assert channel.statistics() == s.ChannelStatistics(1, 0, False, 0, 0)
    tasks = suspended(channel.get, channel.get)
    until_it_says(channel, s.ChannelStatistics(1, 0, False, 0, 2))
    end(tasks)
    channel.put(0)
    tasks = suspended(lambda: channel.put(1))
    until_it_says(channel, s.ChannelStatistics(1, 1, False, 1, 0))
    end(tasks)
    channel.close()
    assert channel.statistics() == s.ChannelStatistics(1, 1, True, 0, 0)
    unlimited: Channel[int] = Channel(None)
    assert unlimited.statistics() == s.ChannelStatistics(math.inf, 0, False, 0, 0)


def test_queue(threads: int) -> None:
    queue: Queue[int] = Queue(1)
    tasks = suspended(queue.get)
    until_it_says(queue, s.QueueStatistics(1, 0, False, 0, 0, 1))
    end(tasks)
    queue.put(1)
    tasks = suspended(lambda: queue.put(2))
    until_it_says(queue, s.QueueStatistics(1, 1, False, 2, 1, 0))
    end(tasks)
    queue.shutdown()
    assert queue.statistics() == s.QueueStatistics(1, 1, True, 1, 0, 0)


def test_threads_that_wait_count_too() -> None:
    event = Event()
    plain = [threading.Thread(target=event.wait) for _ in range(2)]
    for thread in plain:
        thread.start()
    until(lambda: event.statistics().tasks_waiting == 2)
    event.set()
    join(*plain)
    assert event.statistics().tasks_waiting == 0


@pytest.mark.parametrize("name", s.__all__)
def test_they_are_frozen(name: str) -> None:
    kind = getattr(s, name)
    assert dataclasses.is_dataclass(kind)
    made = kind(*[0 for _ in dataclasses.fields(kind)])
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, 1)
    assert hash(made) == hash(kind(*[0 for _ in dataclasses.fields(kind)]))


def test_looking_while_others_use_it(threads: int) -> None:
    """The queues that are counted change, and their nodes go, at the same time."""
    lock, channel = Lock(), Channel[int](1)

    def use() -> None:
        for i in range(300):
            with lock:
                channel.put(i)
            channel.get()

    tasks = [spawn(use) for _ in range(4)]
    looks = 0
    while not all(task.done() for task in tasks) or looks < 100:
        assert lock.statistics().tasks_waiting <= 4
        assert channel.statistics().qsize <= 1
        looks += 1
        wait(*tasks, timeout=0.0001)
    for task in tasks:
        fetch(task)
