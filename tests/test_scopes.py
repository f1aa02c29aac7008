"""CancelScope: what it tells to end."""

from __future__ import annotations

import ctypes
import threading

import pytest
from support.gates import Gate, until, until_suspended
from support.native import pair
from support.places import Place

import taskrt
import taskrt.native
from taskrt import (
    Cancelled,
    CancelledError,
    CancelScope,
    cancel_requested,
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


# --- cancelling -----------------------------------------------------------------------


def test_a_scope_that_nobody_cancels_changes_nothing(run: Place) -> None:
    def body() -> None:
        with CancelScope() as scope:
            checkpoint()
            assert not cancel_requested()
        assert not scope.cancel_called
        assert not scope.cancelled_caught
        assert scope.deadline is None
        assert scope.shield is False

    run(body)


def test_a_cancelled_block_ends_at_its_next_checkpoint(run: Place) -> None:
    def body() -> None:
        trail = []
        with CancelScope() as scope:
            scope.cancel()
            assert scope.cancel_called
            assert cancel_requested()
            trail.append("goes on until it looks")
            checkpoint()
            trail.append("not reached")
        assert trail == ["goes on until it looks"]
        assert scope.cancelled_caught
        checkpoint()

    run(body)


def test_a_block_that_never_looks_is_not_ended(run: Place) -> None:
    def body() -> None:
        with CancelScope() as scope:
            scope.cancel()
        assert scope.cancel_called
        assert not scope.cancelled_caught

    run(body)


def test_cancelled_before_it_is_entered() -> None:
    scope = CancelScope()
    scope.cancel()
    with scope:
        checkpoint()
        pytest.fail("not reached")
    assert scope.cancelled_caught


def test_each_later_checkpoint_raises_again(run: Place) -> None:
    def body() -> None:
        with CancelScope() as scope:
            scope.cancel()
            for _ in range(3):
                with pytest.raises(Cancelled):
                    checkpoint()
                with pytest.raises(Cancelled):
                    sleep(NEVER)
                with pytest.raises(Cancelled):
                    taskrt.yield_now()
                with pytest.raises(Cancelled):
                    fetch(spawn(int))
        assert not scope.cancelled_caught

    run(body)


def test_a_wait_in_the_scope_ends(run: Place) -> None:
    def body() -> None:
        with CancelScope() as scope:
            canceller = threading.Timer(SOON, scope.cancel)
            canceller.start()
            Event().wait()
            pytest.fail("not reached")
        assert scope.cancelled_caught
        canceller.join()

    run(body)


def test_what_is_waited_for_goes_on() -> None:
    with Gate("value") as gate:
        entered = []

        def body() -> object:
            with CancelScope() as scope:
                entered.append(scope)
                fetch(gate.task)
            assert scope.cancelled_caught
            return "body went on"

        task = spawn(body)
        until_suspended(task)
        entered[0].cancel()
        assert fetch(task) == "body went on"
        assert gate.task.running()
        gate.open()
        assert fetch(gate.task) == "value"


def test_the_first_reason_is_the_argument_of_cancelled() -> None:
    with CancelScope() as scope:
        scope.cancel("first")
        scope.cancel("second")
        with pytest.raises(Cancelled, match="first") as caught:
            checkpoint()
        assert caught.value.args == ("first",)
    with CancelScope() as scope:
        scope.cancel(reason={"a": "dict"})
        with pytest.raises(Cancelled) as caught:
            checkpoint()
        assert caught.value.args == ({"a": "dict"},)
    with CancelScope() as scope:
        scope.cancel()
        scope.cancel("too late")
        with pytest.raises(Cancelled) as caught:
            checkpoint()
        assert caught.value.args == ()


# --- nesting --------------------------------------------------------------------------


def test_the_inner_one_alone_is_ended(run: Place) -> None:
    def body() -> None:
        trail = []
        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                checkpoint()
            trail.append("between")
            checkpoint()
            trail.append("outer ends")
        assert trail == ["between", "outer ends"]
        assert inner.cancelled_caught
        assert not outer.cancel_called
        assert not outer.cancelled_caught

    run(body)


def test_the_outer_one_ends_both(run: Place) -> None:
    def body() -> None:
        with CancelScope() as outer:
            with CancelScope() as inner:
                outer.cancel()
                assert not inner.cancel_called
                checkpoint()
            pytest.fail("not reached")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught

    run(body)


def test_of_two_that_are_cancelled_the_outer_one_takes_it(run: Place) -> None:
    def body() -> None:
        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                outer.cancel()
                checkpoint()
            pytest.fail("not reached")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught

    run(body)


def test_a_wait_deep_inside_is_found() -> None:
    entered = []

    def body() -> str:
        with CancelScope() as outer:
            with CancelScope(), CancelScope(), CancelScope():
                entered.append(outer)
                Event().wait()
        assert outer.cancelled_caught
        return "ended"

    tasks = [spawn(body) for _ in range(5)]
    until_suspended(*tasks)
    for scope in entered:
        scope.cancel()
    assert [fetch(task) for task in tasks] == ["ended"] * 5


def test_a_sibling_scope_is_left_alone() -> None:
    def body(event: Event) -> str:
        with CancelScope() as scope:
            scopes.append(scope)
            event.wait()
        return "cancelled" if scope.cancelled_caught else "waited"

    scopes: list[CancelScope] = []
    events = [Event() for _ in range(3)]
    tasks = [spawn(body, event) for event in events]
    until_suspended(*tasks)
    scopes[1].cancel()
    until(lambda: sum(task.done() for task in tasks) == 1)
    for event in events:
        event.set()
    assert sorted(map(fetch, tasks)) == ["cancelled", "waited", "waited"]


def test_a_cancelled_task_passes_through_its_scopes() -> None:
    def body() -> None:
        with CancelScope() as scope:
            scopes.append(scope)
            Event().wait()

    scopes: list[CancelScope] = []
    task = spawn(body)
    until_suspended(task)
    task.cancel("the task")
    with pytest.raises(CancelledError, match="the task"):
        fetch(task)
    assert not scopes[0].cancelled_caught


def test_scope_and_task_cancelled_both_the_task_takes_it() -> None:
    def body() -> None:
        with CancelScope() as scope:
            scopes.append(scope)
            scope.cancel()
            me = taskrt.current_task()
            assert me is not None
            me.cancel()
            checkpoint()

    scopes: list[CancelScope] = []
    task = spawn(body)
    wait(task)
    assert task.cancelled()
    assert not scopes[0].cancelled_caught


# --- shields --------------------------------------------------------------------------


def test_a_shield_hides_the_scope_around(run: Place) -> None:
    def body() -> None:
        trail = []
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True) as inner:
                assert not cancel_requested()
                sleep(SOON)
                trail.append("slept")
            assert not inner.cancelled_caught
            checkpoint()
        assert trail == ["slept"]
        assert outer.cancelled_caught

    run(body)


def test_a_shield_hides_a_request_to_its_task() -> None:
    event = Event()

    def body() -> None:
        with CancelScope(shield=True):
            event.wait()
        trail.append("waited")
        checkpoint()
        trail.append("not reached")

    trail: list[str] = []
    task = spawn(body)
    until_suspended(task)
    task.cancel()
    taskrt.yield_now()
    assert not task.done()
    event.set()
    wait(task)
    assert task.cancelled()
    assert trail == ["waited"]


def test_a_shielded_wait_is_not_found_from_outside() -> None:
    event = Event()

    def body() -> str:
        with CancelScope() as outer:
            outers.append(outer)
            with CancelScope(shield=True):
                event.wait()
            trail.append("shielded part ended")
            checkpoint()
        return "cancelled" if outer.cancelled_caught else "not"

    outers: list[CancelScope] = []
    trail: list[str] = []
    task = spawn(body)
    until_suspended(task)
    outers[0].cancel()
    taskrt.yield_now()
    assert task.state == "suspended"
    event.set()
    assert fetch(task) == "cancelled"
    assert trail == ["shielded part ended"]


def test_a_shield_can_be_cancelled_itself(run: Place) -> None:
    def body() -> None:
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True) as inner:
                inner.cancel()
                checkpoint()
            assert inner.cancelled_caught
            assert not outer.cancelled_caught

    run(body)


def test_a_shield_in_finally_lets_cleanup_wait() -> None:
    def body() -> None:
        try:
            Event().wait()
        finally:
            with CancelScope(shield=True):
                sleep(SOON)
                trail.append(fetch(spawn(lambda: "cleaned")))

    trail: list[str] = []
    task = spawn(body)
    until_suspended(task)
    task.cancel()
    wait(task)
    assert task.cancelled()
    assert trail == ["cleaned"]


# --- tasks that are born into a scope, and native work --------------------------------


def test_tasks_of_a_scope_end_with_it() -> None:
    with taskrt._core._Family() as family:
        waiting = [family._adopt(Event().wait) for _ in range(5)]
        until_suspended(*waiting)
        pending = [family._adopt(pytest.fail, "not run") for _ in range(5)]
        family._scope.cancel("reason")
        with CancelScope(shield=True):
            wait(*waiting, *pending)
    assert all(task.cancelled() for task in waiting)
    assert all(task.cancelled() or task.state == "failed" for task in pending)
    for task in pending:
        task.defuse()


def test_native_work_under_a_scope_is_cancelled(lib: ctypes.CDLL) -> None:
    with CancelScope() as scope:
        thread = threading.Timer(0.01, scope.cancel)
        thread.start()
        taskrt.native.run(lib.until_cancelled, pair(0))
    thread.join()
    assert scope.cancelled_caught
