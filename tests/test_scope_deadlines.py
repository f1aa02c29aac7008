"""Deadlines of scopes: they end waits, and may be moved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from support.gates import Gate, until
from support.places import Place, in_task, on_main

import taskrt
import taskrt.native
from taskrt import (
    CancelScope,
    checkpoint,
    fetch,
    sleep,
    spawn,
    wait,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002  # for deadlines that a test waits for
NEVER = 1e6


# --- deadlines ------------------------------------------------------------------------


def test_a_deadline_ends_a_wait(run: Place) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + SOON) as scope:
            Event().wait()
            pytest.fail("not reached")
        assert scope.cancel_called
        assert scope.cancelled_caught

    run(body)


def test_a_deadline_in_the_past_is_met_at_once(run: Place) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() - 1) as scope:
            assert scope.cancel_called
            checkpoint()
            pytest.fail("not reached")
        assert scope.cancelled_caught

    run(body)


@pytest.mark.parametrize(
    "block",
    [
        lambda gate: fetch(gate.task),
        lambda gate: fetch(gate.task, timeout=NEVER),
        lambda gate: wait(gate.task),
        lambda gate: gate.task.exception(),
        lambda gate: sleep(NEVER),
        lambda gate: Event().wait(),
        lambda gate: Event().wait(NEVER),
        lambda gate: taskrt._core.Semaphore(0).acquire(),
    ],
    ids=["fetch", "timed", "wait", "exception", "sleep", "event", "event timed", "sem"],
)
def test_every_wait_ends_at_the_deadline(block: Callable[[Gate], object]) -> None:
    with Gate() as gate:
        for run in (on_main, in_task):

            def body() -> None:
                with CancelScope(deadline=time.monotonic() + SOON) as scope:
                    block(gate)
                    pytest.fail("not reached")
                assert scope.cancelled_caught

            run(body)


def test_the_earlier_of_two_deadlines_ends_its_own_block(run: Place) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + NEVER) as outer:
            with CancelScope(deadline=time.monotonic() + SOON) as inner:
                sleep(NEVER)
            assert inner.cancelled_caught
        assert not outer.cancel_called
        with CancelScope(deadline=time.monotonic() + SOON) as outer:
            with CancelScope(deadline=time.monotonic() + NEVER) as inner:
                sleep(NEVER)
            pytest.fail("not reached")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught

    run(body)


def test_a_callers_own_timeout_is_not_a_deadline(run: Place) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + NEVER) as scope:
            assert Event().wait(SOON) is False
        assert not scope.cancel_called

    run(body)


def test_a_deadline_may_be_put_off_while_somebody_waits() -> None:
    """The wait that was to end by the old one goes on, and tells of no timeout."""
    event = Event()

    def body(scope: CancelScope) -> object:
        with scope:
            return event.wait()

    for new in (None, time.monotonic() + NEVER):
        deadline = time.monotonic() + 0.05
        scope = CancelScope(deadline=deadline)
        task = spawn(body, scope)
        until(lambda task=task: task.state == "suspended" or task.done())
        scope.deadline = new
        in_time = time.monotonic() < deadline
        while time.monotonic() < deadline + 0.02:
            sleep(SOON)
        event.set()
        assert fetch(task) is True or not in_time
        event.clear()


def test_a_deadline_may_be_brought_forward_while_somebody_waits(run: Place) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + NEVER) as scope:

            def hurry() -> None:
                scope.deadline = time.monotonic() + SOON

            thread = threading.Timer(SOON, hurry)
            thread.start()
            sleep(NEVER)
            pytest.fail("not reached")
        assert scope.cancelled_caught
        thread.join()

    run(body)


def test_a_deadline_set_as_a_wait_begins_is_seen() -> None:
    """Either the wait takes it along, or whoever sets it finds the wait."""
    for _ in range(300):
        with CancelScope() as scope:

            def hurry(scope: CancelScope = scope) -> None:
                scope.deadline = 0

            thread = threading.Thread(target=hurry)
            thread.start()
            Event().wait()
        assert scope.cancelled_caught
        thread.join()


def test_deadline_reads_as_it_was_set() -> None:
    scope = CancelScope(deadline=1234.5)
    assert scope.deadline == pytest.approx(1234.5)
    scope.deadline = None
    assert scope.deadline is None
    scope.deadline = float("inf")
    assert scope.deadline is None
    scope.deadline = -5
    assert scope.deadline == 0


def test_a_deadline_that_comes_and_goes_as_waits_begin() -> None:
    """Whether it has passed may be answered differently by two looks at it."""
    over = []

    def shake(scope: CancelScope) -> None:
        while not over and not scope.cancelled_caught:
            scope.deadline = 0
            scope.deadline = None

    for _ in range(50):
        with CancelScope() as scope:
            thread = threading.Thread(target=shake, args=[scope])
            thread.start()
            for _ in range(50):
                Event().wait(0.000001)
        over.append(True)
        thread.join()
        over.clear()
