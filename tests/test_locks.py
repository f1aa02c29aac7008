"""Locks and semaphores: one owner at a time, and no permit is ever lost."""

from __future__ import annotations

import time

import pytest
from support.gates import pinned, until, until_suspended

import taskrt
from taskrt import CancelledError, fetch, spawn
from taskrt._core import CancelScope, Lock


def take(lock: Lock) -> None:
    with lock:
        pass


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
