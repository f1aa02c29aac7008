"""Native work and the deadlines of the scopes around it."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

import pytest
from support.gates import until
from support.native import pair

import taskrt
from taskrt import CancelScope, fail_after, fetch, move_on_after, native, spawn

SOON = 0.005
NEVER_S = 3600.0  # further off than any test lasts


def test_deadline_ends_work_that_looks_at_no_clock(lib: ctypes.CDLL) -> None:
    with move_on_after(SOON) as scope:
        native.run(lib.until_cancelled, pair(0))
        pytest.fail("it ended without Cancelled")
    assert scope.cancelled_caught


def test_deadline_ends_work_on_all_workers_at_once(lib: ctypes.CDLL) -> None:
    def run() -> bool:
        with move_on_after(SOON) as scope:
            native.run(lib.until_cancelled, pair(0))
        return scope.cancelled_caught

    tasks = [spawn(run) for _ in range(3 * taskrt.num_threads())]
    assert all(fetch(task) for task in tasks)


def test_time_limit_raises_timeout_error(lib: ctypes.CDLL) -> None:
    with pytest.raises(TimeoutError), fail_after(SOON):
        native.run(lib.until_cancelled, pair(0))


def test_deadline_of_a_scope_further_out_counts(lib: ctypes.CDLL) -> None:
    with move_on_after(SOON) as outer, move_on_after(NEVER_S) as inner:
        native.run(lib.until_cancelled, pair(0))
    assert outer.cancelled_caught
    assert not inner.cancelled_caught


def test_deadline_reaches_the_work_of_a_group(lib: ctypes.CDLL) -> None:
    with move_on_after(SOON) as scope, taskrt.TaskGroup() as group:
        for _ in range(4):
            group.spawn(native.run, lib.until_cancelled, pair(0))
    assert scope.cancelled_caught


def test_shield_keeps_the_deadline_off(lib: ctypes.CDLL) -> None:
    data = pair(0)

    def end() -> None:
        until(lambda: outer.cancel_called)
        inner.cancel()

    with move_on_after(SOON) as outer, CancelScope(shield=True) as inner:
        thread = threading.Thread(target=end)
        thread.start()
        native.run(lib.until_cancelled, data)
    thread.join()
    assert inner.cancelled_caught
    assert not outer.cancelled_caught


def test_deadline_that_is_set_while_work_runs_ends_it(lib: ctypes.CDLL) -> None:
    data = pair(0)

    def hurry() -> None:
        until(lambda: data[0] == 1)
        scope.deadline = time.monotonic()

    with CancelScope() as scope:
        thread = threading.Thread(target=hurry)
        thread.start()
        native.run(lib.until_cancelled, data)
    thread.join()
    assert scope.cancelled_caught


def test_deadline_that_is_put_off_ends_nothing(lib: ctypes.CDLL) -> None:
    data = pair(0)
    with move_on_after(NEVER_S) as early:
        early.deadline = time.monotonic() + SOON
        early.deadline = time.monotonic() + NEVER_S
        with move_on_after(2 * SOON) as late:
            native.run(lib.until_cancelled, data)
    assert late.cancelled_caught
    assert not early.cancel_called


def test_work_that_has_ended_is_forgotten(lib: ctypes.CDLL) -> None:
    with move_on_after(NEVER_S):
        for _ in range(100):
            data = pair(10)
            native.run(lib.fib, data)
            assert data[1] == 55
    with move_on_after(SOON) as scope:
        native.run(lib.until_cancelled, pair(0))
    assert scope.cancelled_caught


def test_deadline_comes_while_regions_begin_and_end(
    lib: ctypes.CDLL, set_num_threads: Callable[[int], object]
) -> None:
    """The alarm looks at both, and each makes it earlier for itself."""
    set_num_threads(2)  # one that works and one that comes to the regions
    data = pair(0)

    def block() -> None:
        until(lambda: data[0] == 1)
        scope.deadline = time.monotonic() + 4 * SOON
        while not scope.cancel_called:
            with taskrt.blocking():
                pass

    with move_on_after(NEVER_S) as scope:
        task = spawn(block)
        native.run(lib.until_cancelled, data)
    assert scope.cancelled_caught
    fetch(task)


def test_region_lasts_while_the_next_deadline_is_far_off(lib: ctypes.CDLL) -> None:
    """The alarm has gone to sleep until then."""
    data = pair(0)
    event = threading.Event()

    def run() -> None:
        with scope:
            native.run(lib.until_cancelled, data)

    scope = move_on_after(NEVER_S)
    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: data[0] == 1)
    spawn(event.set)
    with taskrt.blocking():
        assert event.wait(60)
    scope.cancel()
    thread.join()
    assert scope.cancelled_caught
