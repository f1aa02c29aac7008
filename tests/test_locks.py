"""Locks and semaphores: one owner at a time, and no permit is ever lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.crowd import crowd
from support.gates import here, join, pinned, until, until_suspended

import taskrt
from taskrt import (
    BoundedSemaphore,
    CancelledError,
    Lock,
    RLock,
    Semaphore,
    Task,
    fetch,
    spawn,
    wait,
    yield_now,
)
from taskrt._core import CancelScope

LOCKS = [Lock, RLock]
ALL = [Lock, RLock, Semaphore, BoundedSemaphore]


def take(lock: Any) -> None:
    with lock:
        pass


# --- what threading's do --------------------------------------------------------------


@pytest.mark.parametrize("make", ALL)
def test_one_permit_goes_round(make: Callable[[], Any]) -> None:
    lock = make()
    assert lock.acquire() is True
    lock.release()
    with lock as entered:
        assert entered is True
        assert fetch(spawn(lock.acquire, False)) is False
        assert fetch(spawn(lock.acquire, timeout=0)) is False
        assert fetch(spawn(lock.acquire, True, 0.001)) is False
    assert fetch(spawn(lock.acquire, blocking=False)) is True


@pytest.mark.parametrize("make", LOCKS)
def test_wrong_timeouts_of_a_lock(make: Callable[[], Any]) -> None:
    lock = make()
    for wrong in (-2, -0.5, float("nan")):
        with pytest.raises(ValueError):
            lock.acquire(timeout=wrong)
    with pytest.raises(ValueError, match="non-blocking"):
        lock.acquire(False, 1)
    with pytest.raises(OverflowError):
        lock.acquire(timeout=threading.TIMEOUT_MAX + 1)
    for wrong in ("1", None):
        with pytest.raises(TypeError):
            lock.acquire(timeout=wrong)
    with pytest.raises(TypeError):
        lock.acquire(True, 1, 1)
    with pytest.raises(TypeError):
        lock.acquire(patience=1)
    assert not lock.locked()
    assert lock.acquire(timeout=threading.TIMEOUT_MAX)


@pytest.mark.parametrize("make", [Semaphore, BoundedSemaphore])
def test_timeouts_of_a_semaphore(make: Callable[[int], Any]) -> None:
    semaphore = make(0)
    assert semaphore.acquire(timeout=-1) is False, "-1 means no limit to locks alone"
    assert semaphore.acquire(timeout=0) is False
    for wrong in (-1, 1):
        with pytest.raises(ValueError, match="non-blocking"):
            semaphore.acquire(False, wrong)
    assert semaphore.acquire(False, None) is False
    with pytest.raises(ValueError):
        semaphore.acquire(timeout=float("nan"))


def test_types_take_no_arguments_or_a_value() -> None:
    for make in (Lock, RLock):
        with pytest.raises(TypeError):
            make(1)  # type: ignore[call-arg]
    for maker in (Semaphore, BoundedSemaphore):
        with pytest.raises(ValueError):
            maker(-1)
        with pytest.raises(OverflowError):
            maker(2**63 - 1)
        with pytest.raises(TypeError):
            maker("1")  # type: ignore[arg-type]


def test_release_of_what_is_not_acquired() -> None:
    with pytest.raises(RuntimeError, match="unlocked"):
        Lock().release()
    with pytest.raises(RuntimeError, match="un-acquired"):
        RLock().release()
    bounded = BoundedSemaphore(2)
    with pytest.raises(ValueError, match="too many"):
        bounded.release()
    bounded.acquire()
    with pytest.raises(ValueError, match="too many"):
        bounded.release(2)
    assert repr(bounded).endswith("value=1/2>")
    bounded.release()
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="one or more"):
            Semaphore().release(wrong)


def test_a_lock_may_be_released_by_another() -> None:
    lock = Lock()
    lock.acquire()
    fetch(spawn(lock.release))
    assert not lock.locked()


def test_release_of_many_lets_as_many_go_on(threads: int) -> None:
    semaphore = Semaphore(0)
    tasks = [spawn(semaphore.acquire) for _ in range(5)]
    until_suspended(*tasks)
    semaphore.release(3)
    until(lambda: sum(task.done() for task in tasks) == 3)
    semaphore.release(4)
    wait(*tasks)
    assert repr(semaphore).endswith("value=2>")


def test_release_takes_no_longer_for_more_permits(threads: int) -> None:
    semaphore = Semaphore(0)
    tasks = [spawn(semaphore.acquire) for _ in range(5)]
    until_suspended(*tasks)
    semaphore.release(2**60)
    wait(*tasks)
    assert repr(semaphore).endswith(f"value={2**60 - 5}>")
    with pytest.raises(OverflowError, match="more permits"):
        semaphore.release(2**62)
    assert semaphore._value == 2**60 - 5


def test_reprs_tell_the_owner() -> None:
    lock, again = Lock(), RLock()
    assert "<unlocked taskrt.Lock" in repr(lock)
    assert "<unlocked taskrt.RLock" in repr(again)

    def run() -> tuple[int, str, str]:
        with lock, again:
            return here().id, repr(lock), repr(again)

    number, *shown = fetch(spawn(run))
    assert all(f"owner=Task-{number} " in text for text in shown)
    with lock:
        assert "owner=thread-" in repr(lock)


# --- one at a time --------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL)
def test_one_at_a_time_among_tasks_threads_and_main(
    make: Callable[[], Any], threads: int
) -> None:
    lock = make()
    inside: list[int] = []
    rounds = 0

    def work(me: int) -> None:
        nonlocal rounds
        for _ in range(30):
            with lock:
                inside.append(me)
                yield_now()
                assert inside == [me]
                rounds += 1
                inside.clear()

    calls = crowd(work, tasks=8, threads=3)
    assert rounds == 30 * calls


def test_as_many_as_there_are_permits(threads: int) -> None:
    semaphore = BoundedSemaphore(3)
    inside: list[int] = []
    most = []

    def work(me: int) -> None:
        for _ in range(30):
            with semaphore:
                inside.append(me)
                most.append(len(inside))
                yield_now()
                inside.remove(me)

    crowd(work, tasks=8, threads=3)
    assert 1 <= max(most) <= 3
    assert inside == []
    assert repr(semaphore).endswith("value=3/3>")


# --- the owner is the task ------------------------------------------------------------


def test_rlock_is_taken_again_by_its_owner(threads: int) -> None:
    lock = RLock()

    def run() -> None:
        with lock, lock:
            yield_now()
            assert lock.acquire(timeout=0)
            lock.release()
            assert fetch(spawn(lock.acquire, False)) is False
        assert not lock.locked()

    fetch(spawn(run))
    run()


def test_a_sibling_on_the_same_thread_does_not_get_in(
    set_num_threads: Callable[[int], object],
) -> None:
    set_num_threads(1)
    lock = RLock()
    order: list[str] = []

    def first() -> None:
        with lock:
            order.append("first")
            until(lambda: others and others[0].state == "suspended")
            order.append("first is done")

    def second() -> None:
        with lock:
            order.append("second")

    others: list[Task[None]] = []
    task = pinned(first)
    until(lock.locked)
    others.append(pinned(second))
    wait(task, *others)
    assert order == ["first", "first is done", "second"]


def test_a_task_run_as_a_call_is_another_owner() -> None:
    lock = RLock()

    def inner() -> None:
        assert here() is not None
        assert lock.acquire(False) is False
        assert lock.acquire(timeout=0.001) is False
        with pytest.raises(RuntimeError):
            lock.release()

    def outer() -> None:
        with lock:
            fetch(pinned(inner))
            lock.release()
            lock.acquire()

    fetch(pinned(outer))
    with lock:
        fetch(pinned(inner))


def test_a_thread_outside_of_tasks_is_an_owner() -> None:
    lock = RLock()

    def other() -> None:
        with pytest.raises(RuntimeError):
            lock.release()
        seen.append(lock.acquire(False))

    seen: list[bool] = []
    with lock:
        thread = threading.Thread(target=other)
        thread.start()
        join(thread)
    assert seen == [False]


# --- nobody starves -------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL)
def test_who_waits_is_overtaken_once(
    make: Callable[[], Any], set_num_threads: Callable[[int], object]
) -> None:
    """On one thread: it was woken up, the lock was taken once more, then it is next."""
    set_num_threads(1)
    lock = make()
    taken = 0

    def hog() -> None:
        nonlocal taken
        while not waiter.done():
            with lock:
                taken += 1
                yield_now()

    def count() -> int:
        before = taken
        with lock:
            return taken - before

    def main() -> int:
        nonlocal waiter
        with lock:
            waiter = pinned(count)
            until_suspended(waiter)
        hog()
        return fetch(waiter)

    waiter: Task[int] = pinned(int)
    assert fetch(pinned(main)) <= 1


@pytest.mark.parametrize("make", ALL)
def test_who_waits_longest_is_first(
    make: Callable[[], Any], set_num_threads: Callable[[int], object]
) -> None:
    set_num_threads(1)
    lock = make()
    order: list[int] = []

    def work(me: int) -> None:
        with lock:
            order.append(me)
            yield_now()

    lock.acquire()
    tasks = []
    for me in range(10):
        tasks.append(pinned(work, me))
        until_suspended(tasks[-1])
    lock.release()
    wait(*tasks)
    assert order == list(range(10))


# --- nothing is lost ------------------------------------------------------------------


def storm(semaphore: Any, rounds: int, seed: int) -> int:
    """Let timeouts and cancellations race with releases; return how many had it."""
    dice = random.Random(seed)
    held = taskrt.AtomicInt()

    def work(timeout: float) -> None:
        if semaphore.acquire(timeout=timeout):
            try:
                held.fetch_add()
                yield_now()
            finally:
                semaphore.release()

    for _ in range(rounds):
        tasks = [spawn(work, dice.choice([0, 1e-6, 1e-5, 1e-4, 5])) for _ in range(10)]
        for task in dice.sample(tasks, 4):
            if dice.random() < 0.5:
                yield_now()
            task.cancel()
        wait(*tasks)
        for task in tasks:
            assert task.cancelled() or task.exception() is None
    return held.load()


@pytest.mark.parametrize("make", ALL)
def test_no_permit_is_lost_to_timeouts_and_cancellations(
    make: Callable[[], Any], threads: int
) -> None:
    semaphore = make()
    assert storm(semaphore, 150, seed=threads) > 0
    assert semaphore.acquire(False), "the permit is there"
    assert fetch(spawn(semaphore.acquire, False)) is False, "and there is but one"


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("make", ALL)
def test_no_permit_of_a_million_is_lost(make: Callable[[], Any], threads: int) -> None:
    semaphore = make()
    seed = time.time_ns() % 1_000_000
    print(f"{seed=}")
    assert storm(semaphore, 100_000, seed) > 0
    assert semaphore.acquire(False)
    assert fetch(spawn(semaphore.acquire, False)) is False


# --- deadlines and cancellation -------------------------------------------------------


def test_a_scope_whose_deadline_was_moved_does_not_end_a_wait(threads: int) -> None:
    """The wait has set its alarm to the old one, which is no timeout of its own."""
    lock = Lock()
    scope = CancelScope(deadline=time.monotonic() + 0.5)

    def run() -> object:
        with scope, lock:
            return "has it"

    lock.acquire()
    task = spawn(run)
    until_suspended(task)
    deadline, scope.deadline = scope.deadline, None
    assert deadline is not None
    until(lambda: time.monotonic() > deadline + 0.05)
    lock.release()
    assert fetch(task) == "has it"
    assert not scope.cancelled_caught


def test_who_is_cancelled_on_being_woken_up_lets_the_next_one_have_it(
    threads: int,
) -> None:
    """The first is woken up for the lock, and asked to end before it has got there."""
    lock = Lock()

    def wait_and_release(other: list[taskrt.Task[None]]) -> None:
        lock.acquire()
        until_suspended(*other)
        lock.release()
        other[0].cancel()

    first, second = pinned(take, lock), pinned(take, lock)
    wait_and_release([first, second])
    fetch(second)
    with pytest.raises(CancelledError):
        fetch(first)
