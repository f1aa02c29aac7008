"""Events and waiters: set for all, or for one at a time."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.crowd import crowd
from support.gates import pinned, until, until_suspended

from taskrt import (
    AtomicInt,
    CancelledError,
    Event,
    Waiter,
    fetch,
    spawn,
    wait,
    yield_now,
)
from taskrt._core import CancelScope

# --- Event ----------------------------------------------------------------------------


def test_a_set_event_lets_all_go_on(threads: int) -> None:
    event, come = Event(), AtomicInt()

    def work(me: int) -> None:
        if come.fetch_add() == 11:
            event.set()
        assert event.wait() is True
        assert event.is_set()

    crowd(work, tasks=8, threads=3)
    assert event.wait(0) is True
    event.clear()
    assert not event.is_set()
    assert event.wait(0) is False
    assert event.wait(0.001) is False
    assert event.wait(-1) is False


def test_wrong_arguments_of_wait() -> None:
    for method in (Event().wait, Waiter().park):
        with pytest.raises(TypeError):
            method("1")  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            method(float("nan"))
    with pytest.raises(TypeError):
        Waiter(1)  # type: ignore[call-arg]


def test_reprs_tell_the_state() -> None:
    event, waiter = Event(), Waiter()
    assert repr(event).endswith(": unset>")
    assert repr(waiter).endswith(": empty>")
    event.set()
    waiter.wake()
    assert repr(event).endswith(": set>")
    assert repr(waiter).endswith(": token>")
    waiter.park()
    task = spawn(waiter.park)
    until_suspended(task)
    assert repr(waiter).endswith(": parked>")
    waiter.wake()
    fetch(task)


def test_autoreset_lets_one_go_on_each_time(threads: int) -> None:
    event = Event(autoreset=True)
    tasks = []
    for _ in range(4):
        tasks.append(pinned(event.wait))
        until_suspended(tasks[-1])
    for count in range(1, 5):
        event.set()
        assert not event.is_set(), "one has it"
        until(lambda: sum(task.done() for task in tasks) == count)
        assert tasks[count - 1].done(), "the one that has waited longest"
    event.set()
    event.set()
    assert event.wait(0) is True
    assert event.wait(0) is False, "the two were one"


# --- Waiter ---------------------------------------------------------------------------


def test_wake_tells_whether_one_parked(threads: int) -> None:
    waiter = Waiter()
    assert waiter.park(0) is False
    assert waiter.wake() is False
    assert waiter.wake() is False
    assert waiter.park() is True
    assert waiter.park(timeout=0.001) is False
    task = spawn(waiter.park)
    until_suspended(task)
    assert waiter.wake() is True
    assert waiter.wake() is False, "that one is on its way, this is for the next"
    assert fetch(task) is True
    assert waiter.park(0) is True


def test_one_parks_at_a_time() -> None:
    waiter = Waiter()
    task = spawn(waiter.park)
    until_suspended(task)
    with pytest.raises(RuntimeError, match="one at a time"):
        waiter.park()
    waiter.wake()
    assert fetch(task) is True


def test_a_cancelled_park_leaves_the_token(threads: int) -> None:
    waiter = Waiter()
    task = spawn(waiter.park)
    until_suspended(task)
    task.cancel()
    assert waiter.wake() is False
    with pytest.raises(CancelledError):
        fetch(task)
    assert waiter.park(0) is True


def storm(rounds: int, seed: int) -> None:
    """Wake and cancel at once: what wake() has said is true."""
    dice = random.Random(seed)
    for _ in range(rounds):
        waiter = Waiter()
        task = spawn(waiter.park, dice.choice([None, None, 1e-5]))
        waker = spawn(waiter.wake)
        if dice.random() < 0.5:
            yield_now()
        if dice.random() < 0.5:
            task.cancel()
        has_parked = fetch(waker)
        wait(task)
        woken = not task.cancelled() and fetch(task)
        assert woken or not has_parked
        assert waiter.park(0) is not woken


def test_what_wake_says_is_true(threads: int) -> None:
    storm(500, seed=threads)


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_what_wake_says_is_true_a_million_times(threads: int) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"{seed=}")
    storm(330_000, seed)


def test_c_code_wakes(lib: ctypes.CDLL, threads: int) -> None:
    """From a thread without an interpreter, while this one waits for that in C."""
    assert ctypes.PyDLL(lib._name).prepare() == 0
    wake = lib.wake_from_another_thread
    wake.argtypes = [ctypes.py_object]
    waiter = Waiter()
    assert wake(waiter) == 0
    assert waiter.park(0) is True
    task = spawn(waiter.park)
    until_suspended(task)
    assert wake(waiter) == 1
    assert fetch(task) is True
    assert wake(Event()) == -1


# --- from a signal handler ------------------------------------------------------------


@pytest.fixture
def on_signal() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Give a function that has another thread send a signal, which calls `fn`."""
    senders: list[threading.Thread] = []
    before = signal.getsignal(signal.SIGUSR1)

    def arrange(fn: Callable[[], object]) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: fn())
        send = threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGUSR1])
        senders.append(send)
        send.start()

    yield arrange
    for sender in senders:
        sender.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("autoreset", [False, True])
def test_a_signal_handler_sets_what_main_waits_for(
    autoreset: bool, threads: int, on_signal: Callable[[Any], None]
) -> None:
    for _ in range(5):
        event = Event(autoreset)
        on_signal(event.set)
        assert event.wait() is True
        assert event.is_set() is not autoreset


def test_a_signal_handler_wakes_main(
    threads: int, on_signal: Callable[[Any], None]
) -> None:
    waiter = Waiter()
    answers: list[bool] = []
    on_signal(lambda: answers.append(waiter.wake()))
    assert waiter.park() is True
    assert len(answers) == 1


def test_a_signal_handler_that_raises_takes_no_setting(
    threads: int, on_signal: Callable[[Any], None]
) -> None:
    """It sets the event, which ends the wait, and then has it fail."""
    event = Event(autoreset=True)

    def handle() -> None:
        event.set()
        raise LookupError

    def wait_for_it() -> None:
        on_signal(handle)
        event.wait()

    with pytest.raises(LookupError):  # on a loaded machine before the wait has begun
        wait_for_it()
    assert event.wait(0) is True


# --- races ----------------------------------------------------------------------------


def test_no_setting_is_lost_while_a_deadline_moves(
    set_num_threads: Callable[[int], object],
) -> None:
    """Each move lets those that wait look again, perhaps just as it has come."""
    set_num_threads(4)
    event, taken = Event(autoreset=True), Event(autoreset=True)
    scope = CancelScope()

    def take() -> None:
        with scope:
            for _ in range(2000):
                event.wait()
                taken.set()

    def move() -> None:
        far = time.monotonic() + 1e6
        while not task.done():
            far -= 1
            scope.deadline = far

    def give() -> None:
        for _ in range(2000):
            event.set()
            taken.wait()

    task, giver = spawn(take), spawn(give)
    mover = threading.Thread(target=move)
    mover.start()
    wait(task, giver)
    mover.join()
    fetch(task)
