"""How a group ends: errors of its block, cancellation, Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import threading
from pathlib import Path

import pytest
from support.child import UNDER_ASAN, run_script
from support.ends import types_of, until_all_suspended, wait_for_ever
from support.gates import Gate, here, until
from support.places import Place

import taskrt
from taskrt import (
    Cancelled,
    CancelledError,
    CancelScope,
    TaskGroup,
    checkpoint,
    fetch,
    move_on_after,
    spawn,
    wait,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

NEVER = 1e6
ISOLATED = Path(__file__).parent / "isolated"


# --- failures of the block ------------------------------------------------------------


def test_an_error_of_the_block_cancels_and_is_first(run: Place) -> None:
    def body() -> None:
        trail: list[object] = []

        def clean_up() -> None:
            try:
                Event().wait()
            finally:
                raise KeyError

        with pytest.raises(ExceptionGroup) as caught:
            with TaskGroup() as group:
                until_all_suspended(
                    group.spawn(clean_up), group.spawn(wait_for_ever, trail, "out")
                )
                raise ValueError("the block's")
        assert types_of(caught.value) == [ValueError, KeyError]
        assert trail == ["out"]

    run(body)


@pytest.mark.parametrize("on_error", ["cancel", "wait"])
def test_an_error_of_the_block_alone_is_a_group(on_error: str) -> None:
    error = ValueError()
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup(on_error=on_error) as group:  # type: ignore[arg-type]
            group.spawn(Event().wait)
            raise error
    assert caught.value.exceptions == (error,)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_errors_for_the_program_leave_as_they_are(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    trail: list[object] = []

    def clean_up() -> None:
        try:
            Event().wait()
        finally:
            raise KeyError

    error = kind()
    with pytest.raises(kind) as caught:
        with TaskGroup() as group:
            until_all_suspended(
                group.spawn(wait_for_ever, trail, "out"), group.spawn(clean_up)
            )
            raise error
    assert caught.value is error
    assert trail == ["out"]
    del group
    gc.collect()
    until(lambda: reports)
    assert len(reports) == 1


# --- cancellation ---------------------------------------------------------------------


def test_cancel_ends_block_and_tasks_without_an_error(run: Place) -> None:
    def body() -> None:
        trail: list[object] = []
        with TaskGroup() as group:
            until_all_suspended(group.spawn(wait_for_ever, trail, "out"))
            group.cancel("enough")
            with pytest.raises(Cancelled, match="enough"):
                checkpoint()
            never = group.spawn(trail.append, "never runs")
            checkpoint()
            pytest.fail("not reached")
        assert never.cancelled()
        assert trail == ["out"]

    run(body)


def test_cancel_from_another_thread_while_the_end_waits() -> None:
    with TaskGroup() as group:
        task = group.spawn(Event().wait)
        thread = threading.Timer(0.002, group.cancel)
        thread.start()
    assert task.cancelled()
    thread.join()


def test_a_task_cancels_its_group() -> None:
    with TaskGroup() as group:
        group.spawn(Event().wait)
        group.spawn(group.cancel)
    assert group.results == [None, None]


def test_a_scope_around_ends_the_group_and_takes_cancelled(run: Place) -> None:
    def body() -> None:
        trail: list[object] = []
        with CancelScope() as scope:
            with TaskGroup() as group:
                until_all_suspended(group.spawn(wait_for_ever, trail, "out"))
                group.spawn(scope.cancel)
            pytest.fail("not reached")
        assert scope.cancelled_caught
        assert trail == ["out"]

    run(body)


def test_a_deadline_around_ends_the_group(run: Place) -> None:
    def body() -> None:
        trail: list[object] = []
        with move_on_after(0.005) as scope:
            with TaskGroup() as group:
                for n in range(3):
                    group.spawn(wait_for_ever, trail, n)
            pytest.fail("not reached")
        assert scope.cancelled_caught

    run(body)


def test_a_request_to_the_task_ends_its_group() -> None:
    """Also if one of its tasks runs on its stack, in the wait at the end."""
    trail: list[object] = []

    def body() -> None:
        with TaskGroup() as group:
            children.append(group.spawn(wait_for_ever, trail, "child"))
        trail.append("not reached")

    children: list[taskrt.Task[None]] = []
    task = spawn(body)
    until(lambda: children and children[0].state == "suspended")
    task.cancel("from outside")
    with pytest.raises(CancelledError, match="from outside"):
        fetch(task)
    assert trail == ["child"]
    assert children[0].cancelled()


def test_inner_group_cancelled_outer_goes_on() -> None:
    with TaskGroup() as outer:
        event = Event()
        task = outer.spawn(event.wait)
        with TaskGroup() as inner:
            inner.spawn(Event().wait)
            inner.cancel()
        checkpoint()
        event.set()
    assert fetch(task) is True


def test_outer_and_inner_cancelled_the_outer_takes_it() -> None:
    reached = []
    with TaskGroup() as outer:
        with TaskGroup() as inner:
            inner.spawn(Event().wait)
            inner.cancel()
            outer.cancel()
        reached.append("between")
    assert reached == []


def test_a_failure_and_a_cancellation_from_outside_both_get_there() -> None:
    def clean_up() -> None:
        try:
            Event().wait()
        finally:
            raise KeyError

    with pytest.raises(ExceptionGroup) as caught:
        with CancelScope() as scope:
            with TaskGroup() as group:
                until_all_suspended(group.spawn(clean_up))
                scope.cancel()
            pytest.fail("not reached")
    assert types_of(caught.value) == [KeyError]
    assert scope.cancelled_caught


def test_a_cancelled_that_nobody_asked_for_passes() -> None:
    with pytest.raises(Cancelled):
        with TaskGroup() as group:
            group.spawn(Event().wait)
            raise Cancelled


def test_a_shielded_task_is_waited_for_all_the_same() -> None:
    event = Event()
    trail = []

    def shielded() -> None:
        with CancelScope(shield=True):
            event.wait()
        trail.append("waited")

    def body() -> None:
        with TaskGroup() as group:
            tasks.append(group.spawn(shielded))

    tasks: list[taskrt.Task[None]] = []
    task = spawn(body)
    until(lambda: tasks and tasks[0].state == "suspended")
    task.cancel()
    for _ in range(10):
        taskrt.yield_now()
    assert not task.done()
    event.set()
    wait(task)
    assert task.cancelled()
    assert trail == ["waited"]


def test_a_child_that_waits_for_its_group_is_a_circle_and_ends() -> None:
    def body() -> None:
        me = here()
        with TaskGroup() as group:
            group.spawn(fetch, me)

    with pytest.raises(BaseExceptionGroup) as caught:
        fetch(spawn(body))
    assert types_of(caught.value) == [taskrt.DeadlockError]


# --- Ctrl-C ---------------------------------------------------------------------------


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_ctrl_c_while_the_end_waits_cancels_and_waits() -> None:
    trail: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        with TaskGroup() as group:
            task = group.spawn(wait_for_ever, trail, "out")
            thread = threading.Timer(0.01, press_ctrl_c)
            thread.start()
    thread.join()
    assert task.done()
    assert trail in (["out"], [])


def test_ctrl_c_twice_ends_the_wait_and_tells_who_is_left() -> None:
    event = Event()
    presses = []

    def stubborn() -> None:
        with CancelScope(shield=True):
            event.wait()

    def press() -> None:
        while not presses:
            press_ctrl_c()
            threading.Event().wait(0.01)

    with Gate():
        with pytest.raises(KeyboardInterrupt) as caught:
            try:
                with TaskGroup() as group:
                    task = group.spawn(stubborn)
                    until_all_suspended(task)
                    thread = threading.Thread(target=press)
                    thread.start()
            finally:
                presses.append("stop")
        while True:
            try:
                thread.join()
                checkpoint()
                break
            except KeyboardInterrupt:
                continue
    assert any(task.name in note for note in caught.value.__notes__)
    with pytest.raises(RuntimeError):
        group.spawn(int)
    event.set()
    wait(task)


# --- processes ------------------------------------------------------------------------


@pytest.mark.isolated
@pytest.mark.skipif(UNDER_ASAN, reason="forks with threads")
def test_a_forked_child_leaves_the_group_without_its_tasks() -> None:
    run_script(
        """
        import os, taskrt, warnings
        warnings.simplefilter("ignore")
        event = taskrt._core.Event()
        with taskrt.TaskGroup() as group:
            task = group.spawn(event.wait)
            while task.state != "suspended":
                taskrt.sleep(0.001)
            pid = os.fork()
            if pid:
                event.set()
        if pid == 0:
            os._exit(taskrt.fetch(taskrt.spawn(int)))
        assert os.waitpid(pid, 0)[1] == 0
        """
    )


@pytest.mark.isolated
def test_ctrl_c_ends_the_program_after_its_tasks() -> None:
    result = run_script(
        """
        import os, signal, threading, taskrt

        def clean_up():
            try:
                taskrt._core.Event().wait()
            finally:
                os.write(1, b"cleaned up\\n")  # print() writes the line end apart

        press = lambda: os.kill(os.getpid(), signal.SIGINT)
        with taskrt.TaskGroup() as group:
            tasks = [group.spawn(clean_up) for _ in range(3)]
            while not all(task.state == "suspended" for task in tasks):
                taskrt.sleep(0.001)
            threading.Timer(0.01, press).start()
        """,
        expect=-2,
    )
    assert result.stdout == "cleaned up\n" * 3
    assert result.stderr.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.isolated
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.skipif(UNDER_ASAN, reason="a child may inherit a lock of its allocator")
def test_a_forked_child_leaves_a_group_that_others_spawn_into() -> None:
    run_script(ISOLATED / "fork_in_group.py", env={"TASKRT_NUM_THREADS": "2"})
