"""Tasks that run as calls leave turns to what waits for the same thread."""

from __future__ import annotations

import socket
import threading
import time

import pytest

import taskrt
from taskrt import Event, TaskGroup, fetch, move_on_after, sleep, spawn, wait_readable

pytestmark = pytest.mark.usefixtures("threads")

CALL_S = 0.004  # of the processor, each
CALLS = 100


def burn(ended: list[int]) -> None:
    end = time.monotonic() + CALL_S
    while time.monotonic() < end:
        pass
    ended.append(threading.get_ident())


def made_here(ended: list[int]) -> int:
    """How many calls this thread has made: the others may be far ahead of it."""
    return ended.count(threading.get_ident())


def calls_before(waits: object) -> int:
    """How many of many calls its thread has made when the wait of a task is over."""
    ended: list[int] = []
    waiting = Event()

    def wait() -> int:
        waiting.set()
        waits()  # type: ignore[operator]
        return made_here(ended)

    with TaskGroup() as group:
        task = group.spawn(wait)
        waiting.wait()
        for _ in range(CALLS * taskrt.num_threads()):
            group.spawn(burn, ended)
    return task.result()


def test_a_sleep_ends_between_two_calls() -> None:
    assert calls_before(lambda: sleep(CALL_S)) < CALLS / 2


def test_a_time_limit_ends_between_two_calls() -> None:
    def wait() -> None:
        with move_on_after(CALL_S):
            Event().wait()

    assert calls_before(wait) < CALLS / 2


def test_a_descriptor_is_looked_at_between_two_calls() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.send(b"x")
        assert calls_before(lambda: wait_readable(here)) < CALLS / 2


def test_fetches_one_after_another_leave_turns_too() -> None:
    ended: list[int] = []

    def wait() -> int:
        sleep(CALL_S)
        return made_here(ended)

    task = spawn(wait)
    sleep(0)
    for burning in [spawn(burn, ended) for _ in range(CALLS * taskrt.num_threads())]:
        fetch(burning)
    assert fetch(task) < CALLS / 2
