"""Conditions: the lock is owned on every way out, and no notification is lost."""

from __future__ import annotations

import inspect
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.child import run_script
from support.crowd import crowd
from support.gates import join, until, until_suspended
from support.interrupts import at_each_line

from taskrt import (
    AtomicInt,
    Cancelled,
    Condition,
    Lock,
    RLock,
    Task,
    fetch,
    spawn,
    wait,
    yield_now,
)

KINDS = [RLock, Lock, threading.RLock, threading.Lock]


def waiting(condition: Condition, count: int) -> Callable[[], bool]:
    """Return a question: whether so many wait."""
    return lambda: repr(condition).endswith(f", {count})>")


# --- what threading's does ------------------------------------------------------------


@pytest.mark.parametrize("make", KINDS)
def test_wait_without_the_lock_is_refused(make: Callable[[], Any]) -> None:
    condition = Condition(make())
    for method in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError):
            method()
    with pytest.raises(RuntimeError):
        condition.wait_for(lambda: True)
    with pytest.raises(RuntimeError):
        condition.release()


def test_another_tasks_lock_is_not_the_callers() -> None:
    condition = Condition()
    with condition:
        with pytest.raises(RuntimeError):
            fetch(spawn(condition.notify))


@pytest.mark.parametrize("make", KINDS)
def test_notify_lets_the_longest_go_on(make: Callable[[], Any]) -> None:
    condition = Condition(make())
    order: list[int] = []

    def run(me: int) -> bool:
        with condition:
            order.append(me)
            return condition.wait()

    tasks = []
    for me in range(4):
        tasks.append(spawn(run, me))
        until(waiting(condition, me + 1))
    for done in (1, 3, 4):
        with condition:
            condition.notify(2 if done == 3 else 1)
        until(lambda: sum(task.done() for task in tasks) == done)
        assert all(task.done() for task in tasks[:done])
    assert [fetch(task) for task in tasks] == [True] * 4
    with condition:
        condition.notify()
        condition.notify_all()
        condition.notify(0)
        condition.notify(-1)


def test_notify_all_lets_all_go_on(threads: int) -> None:
    condition = Condition()
    ready = False

    def run(_: int) -> None:
        with condition:
            assert condition.wait_for(lambda: ready) is True

    def open_all() -> None:
        nonlocal ready
        until(waiting(condition, 9))
        with condition:
            ready = True
            condition.notify_all()

    opener = threading.Thread(target=open_all)
    opener.start()
    crowd(run, tasks=5, threads=3)
    join(opener)


def test_wait_times_out_with_the_lock() -> None:
    condition = Condition()
    with condition:
        for timeout in (0, -1, 0.001):
            assert condition.wait(timeout) is False
        assert condition._is_owned()
        assert condition.wait_for(lambda: 0, timeout=0.001) == 0
        assert condition.wait_for(list, timeout=0) == []
        assert condition.wait_for(lambda: "yes", timeout=0) == "yes"
        with pytest.raises(TypeError):
            condition.wait("1")  # type: ignore[arg-type]
        assert waiting(condition, 0)()
    assert "<unlocked" in repr(condition)


def test_the_lock_is_given_up_whatever_its_depth() -> None:
    condition = Condition()

    def run() -> None:
        with condition, condition, condition:
            condition.wait()
            assert condition._lock._recursion_count() == 3

    task = spawn(run)
    until(waiting(condition, 1))
    with condition:
        condition.notify()
    fetch(task)
    assert condition.acquire(False)


def test_two_conditions_share_a_lock() -> None:
    lock = RLock()
    one, other = Condition(lock), Condition(lock)
    with one:
        other.notify()
        assert other.wait(0) is False


# --- the lock is owned on every way out -----------------------------------------------


@pytest.mark.parametrize("make", [RLock, Lock])
def test_cancelled_leaves_with_the_lock(make: Callable[[], Any], threads: int) -> None:
    lock = make()
    condition = Condition(lock)
    seen: list[bool] = []

    def run() -> None:
        with condition:
            try:
                condition.wait()
            except Cancelled:
                seen.append(lock.locked() and condition._is_owned())
                raise

    task = spawn(run)
    until(waiting(condition, 1))
    with condition:
        task.cancel()
        until_suspended(task)
        assert not task.done(), "it waits for the lock"
    wait(task)
    assert task.cancelled()
    assert seen == [True]
    assert lock.acquire(False)
    assert waiting(condition, 0)()


def test_wrong_use_leaves_with_the_lock() -> None:
    condition = Condition()
    with condition, pytest.raises(TypeError):
        condition.wait("soon")  # type: ignore[arg-type]
    assert condition.acquire(False)


@pytest.mark.isolated
@pytest.mark.parametrize("lock", ["RLock", "Lock"])
def test_exit_lets_those_go_that_wait(lock: str) -> None:
    """They are cancelled, all at once, and each leaves its with-block in order."""
    result = run_script(
        f"""
        from taskrt import Condition, {lock}, spawn, yield_now

        condition, left = Condition({lock}()), []

        def run():
            with condition:
                try:
                    condition.wait()
                finally:
                    left.append(1)
                    if len(left) == 20:
                        print("all left")

        tasks = [spawn(run) for _ in range(20)]
        while not all(task.state == "suspended" for task in tasks):
            yield_now()
        """
    )
    assert (result.stdout, result.stderr) == ("all left\n", "")


# --- nothing is lost ------------------------------------------------------------------


def test_a_notification_of_one_that_is_cancelled_goes_to_the_next(threads: int) -> None:
    """Both while it waits for the lock: first notified, or first cancelled."""
    condition = Condition()

    def run() -> bool:
        with condition:
            return condition.wait()

    for notify_first in (True, False):
        first = spawn(run)
        until(waiting(condition, 1))
        second = spawn(run)
        until(waiting(condition, 2))
        with condition:
            if notify_first:
                condition.notify()
                first.cancel()
            else:
                first.cancel()
                condition.notify()
        wait(first)
        if first.cancelled():
            assert fetch(second) is True
        else:
            with condition:
                condition.notify()
            fetch(second)


def test_a_notification_during_a_timeout_counts(threads: int) -> None:
    condition = Condition()

    def run() -> bool:
        with condition:
            return condition.wait(0.001)

    task = spawn(run)
    until(waiting(condition, 1))
    with condition:
        time.sleep(0.005)  # its time is up, and it cannot say so without the lock
        condition.notify()
    assert fetch(task) is True


def functions_of(kind: type) -> list[Callable[..., object]]:
    return [value for value in vars(kind).values() if inspect.isfunction(value)]


@pytest.mark.parametrize("make", KINDS)
def test_interrupted_wait_leaves_with_the_lock(make: Callable[[], Any]) -> None:
    """Wherever a signal handler raises, and nobody is left in the queue."""
    condition = Condition(make())
    for interrupted in at_each_line(*functions_of(Condition)):
        with interrupted, condition:
            condition.wait(0.00001)
        assert waiting(condition, 0)()
        assert condition._lock.acquire(False)
        condition._lock.release()
    assert interrupted.place > 10


def test_interrupted_notify_notifies_or_not(threads: int) -> None:
    """Who was taken out of the queue goes on."""
    condition = Condition()

    def run() -> bool:
        with condition:
            return condition.wait()

    tasks: list[Task[bool]] = []
    # Only in what the tasks do not call, since main may run them.
    for interrupted in at_each_line(Condition.notify):
        while not waiting(condition, 2)():
            tasks.append(spawn(run))
            until_suspended(tasks[-1])
        with interrupted, condition:
            condition.notify(2)
        until(lambda: waiting(condition, sum(not task.done() for task in tasks))())
    assert interrupted.place > 10
    assert all(task.done() for task in tasks)


def storm(rounds: int, seed: int) -> None:
    """Give tokens one by one, each with one notification, to takers that may give up.

    One that is lost leaves a taker waiting though there is a token.
    """
    dice = random.Random(seed)
    condition = Condition()
    tokens, taken, given = 0, AtomicInt(), AtomicInt()

    def take(timeout: float | None) -> None:
        nonlocal tokens
        with condition:
            while not tokens:
                if not condition.wait(timeout) and not tokens:
                    return
            tokens -= 1
            taken.fetch_add()

    def give() -> None:
        nonlocal tokens
        with condition:
            tokens += 1
            given.fetch_add()
            condition.notify()

    for _ in range(rounds):
        stayers: list[Task[None]] = [spawn(take, None) for _ in range(3)]
        leavers = [spawn(take, dice.choice([0, 1e-5, 1e-4, None])) for _ in range(4)]
        givers = []
        for task in leavers:
            if dice.random() < 0.5:
                yield_now()
            givers.append(spawn(give))
            task.cancel()
        wait(*leavers, *givers)
        for _ in range(3):
            give()
        wait(*stayers)
        assert all(task.exception() is None for task in stayers)
        assert taken.load() + tokens == given.load()
    assert waiting(condition, 0)()


def test_no_notification_is_lost(threads: int) -> None:
    storm(150, seed=threads)


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_no_notification_of_many_is_lost(threads: int) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"{seed=}")
    storm(20_000, seed)
