"""Cancellation: before the start, while waiting, while running."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import greenlet
import pytest
from support.gates import Gate, here, pinned, until, until_suspended

import taskrt
from taskrt import (
    Cancelled,
    CancelledError,
    Task,
    cancel_requested,
    checkpoint,
    fetch,
    spawn,
    wait,
)


def test_the_two_errors_are_of_their_kinds() -> None:
    assert issubclass(CancelledError, concurrent.futures.CancelledError)
    assert issubclass(Cancelled, BaseException)
    assert not issubclass(Cancelled, Exception)


# --- before the start -----------------------------------------------------------------


def test_a_task_that_has_not_started_never_runs() -> None:
    ran: list[int] = []
    task = pinned(ran.append, 1)
    assert task.cancel() is True
    for ask in (fetch, Task.result, Task.exception):
        with pytest.raises(CancelledError):
            ask(task)
    assert wait(task) is True
    taskrt.yield_now()
    fetch(pinned(int))
    assert ran == []
    assert task.done()
    assert task.cancelled()


def test_message_of_the_cancel_reaches_the_asker() -> None:
    task = pinned(int)
    task.cancel("out of time")
    with pytest.raises(CancelledError, match="out of time"):
        fetch(task)
    task = pinned(int)
    task.cancel(msg="by keyword")
    with pytest.raises(CancelledError, match="by keyword"):
        fetch(task)


def test_cancelled_error_names_the_task() -> None:
    task = taskrt.Spawner(pinned=True, name="unlucky")(int)
    task.cancel()
    with pytest.raises(CancelledError, match="unlucky"):
        fetch(task)


def test_only_a_finished_task_refuses() -> None:
    task = pinned(int)
    assert task.cancel() is True
    assert task.cancel() is False
    done = spawn(int)
    wait(done)
    assert done.cancel() is False
    assert fetch(done) == 0
    failed = spawn(lambda: 1 / 0)
    wait(failed)
    assert failed.cancel() is False
    assert isinstance(failed.exception(), ZeroDivisionError)


def test_cancel_of_a_pending_task_wakes_its_waiters() -> None:
    task = pinned(int)
    answers: list[object] = []

    def ask() -> None:
        asking.wait()
        with pytest.raises(CancelledError):
            fetch(task)
        answers.append("cancelled")

    asking = threading.Barrier(4)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    asking.wait()
    assert task.cancel() is True
    for thread in threads:
        thread.join()
    assert answers == ["cancelled"] * 3


def test_cancel_from_a_foreign_thread() -> None:
    task = pinned(int)
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(task.cancel()))
    thread.start()
    thread.join()
    assert answers == [True]
    assert task.cancelled()


def test_callbacks_of_a_cancelled_task_run() -> None:
    seen: list[Task[int]] = []
    task = pinned(int)
    task.add_done_callback(seen.append)
    task.cancel()
    until(lambda: seen)
    assert seen == [task]


def test_cancel_and_start_race_to_one_outcome() -> None:
    for _ in range(200):
        ran: list[int] = []
        tasks = [spawn(ran.append, i) for i in range(20)]
        answers: list[object] = []
        thread = threading.Thread(
            target=lambda tasks=tasks: answers.extend(t.cancel() for t in tasks)
        )
        thread.start()
        wait(*tasks)
        thread.join()
        cancelled = [i for i, task in enumerate(tasks) if task.cancelled()]
        assert sorted([*ran, *cancelled]) == list(range(20))
        assert all(answers[i] for i in cancelled)


# --- while waiting --------------------------------------------------------------------


def waits(task: Task[object]) -> object:
    trail.append("in")
    try:
        return fetch(task)
    except Exception:
        trail.append("swallowed by except Exception")
        return None
    except BaseException as error:
        trail.append(type(error))
        raise
    finally:
        trail.append("out")


trail: list[object] = []


@pytest.fixture(autouse=True)
def clean_trail() -> None:
    trail.clear()


def test_a_suspended_task_wakes_with_cancelled() -> None:
    with Gate(5) as gate:
        task = spawn(waits, gate.task)
        until_suspended(task)
        assert task.cancel("enough") is True
        with pytest.raises(CancelledError, match="enough"):
            fetch(task)
        assert task.cancelled()
        assert trail == ["in", Cancelled, "out"]
        assert gate.task.state == "running"
        gate.open()
        assert fetch(gate.task) == 5


@pytest.mark.parametrize(
    "block",
    [
        lambda t: fetch(t),
        lambda t: fetch(t, timeout=1e6),
        lambda t: wait(t),
        lambda t: wait(t, timeout=1e6),
        lambda t: t.result(),
        lambda t: t.exception(),
    ],
    ids=["fetch", "fetch timed", "wait", "wait timed", "result", "exception"],
)
def test_every_wait_is_a_cancel_point(block: Callable[[Task[Any]], object]) -> None:
    with Gate() as gate:
        task = spawn(block, gate.task)
        until_suspended(task)
        task.cancel()
        with pytest.raises(CancelledError):
            fetch(task)
        assert gate.task.running()


def test_one_waiter_is_cancelled_and_the_others_are_not() -> None:
    with Gate("value") as gate:
        tasks = [spawn(fetch, gate.task) for _ in range(20)]
        until_suspended(*tasks)
        for task in tasks[::2]:
            assert task.cancel()
        for task in tasks[::2]:
            with pytest.raises(CancelledError):
                fetch(task)
        gate.open()
        assert [fetch(t) for t in tasks[1::2]] == ["value"] * 10


def test_cancel_does_not_reach_the_task_waited_for() -> None:
    with Gate() as gate:
        child = spawn(fetch, gate.task)
        until_suspended(child)
        parent = spawn(fetch, child)
        until_suspended(parent)
        parent.cancel()
        with pytest.raises(CancelledError):
            fetch(parent)
        assert child.state == "suspended"
        gate.open()
        assert fetch(child) is None


def test_cancel_of_a_parent_spares_the_child_it_runs_inline() -> None:
    """The child stands on its parent's stack: the parent cannot end before it."""
    with Gate(3) as gate:
        children = []

        def parent() -> None:
            children.append(pinned(fetch, gate.task))
            fetch(children[0])
            checkpoint()

        task = spawn(parent)
        until(lambda: children and children[0].state == "suspended")
        assert task.cancel()
        taskrt.yield_now()
        assert children[0].state == "suspended"
        gate.open()
        assert fetch(children[0]) == 3
        with pytest.raises(CancelledError):
            fetch(task)


def test_a_parent_sees_the_cancellation_of_its_child_as_an_exception() -> None:
    def parent(child: Task[int]) -> str:
        with pytest.raises(CancelledError):
            fetch(child)
        return "went on"

    child = pinned(int)
    child.cancel()
    assert fetch(spawn(parent, child)) == "went on"


def test_a_parent_that_lets_it_pass_has_failed() -> None:
    child = pinned(int)
    child.cancel()
    parent = spawn(fetch, child)
    with pytest.raises(CancelledError):
        fetch(parent)
    assert parent.state == "failed"


def test_the_task_waited_for_ends_between_the_cancel_and_the_wake_up() -> None:
    with Gate("too late") as gate:
        tasks = [pinned(waits, gate.task) for _ in range(10)]
        until_suspended(*tasks)
        for task in tasks:
            assert task.cancel()
        gate.close()
        wait(*tasks)
        assert all(task.cancelled() for task in tasks)


def test_cancel_and_wake_up_race_to_one_outcome() -> None:
    for _ in range(200):
        with Gate("value") as gate:
            task = spawn(waits, gate.task)
            until_suspended(task)
            thread = threading.Thread(target=task.cancel)
            thread.start()
            gate.open()
            wait(task)
            thread.join()
            if task.cancelled():
                with pytest.raises(CancelledError):
                    fetch(task)
            else:
                assert fetch(task) == "value"
            assert fetch(gate.task) == "value"
        assert trail in (["in", Cancelled, "out"], ["in", "out"])
        trail.clear()


# --- while running --------------------------------------------------------------------


def test_a_running_task_meets_it_at_the_next_checkpoint() -> None:
    def run() -> None:
        assert not cancel_requested()
        checkpoint()
        assert here().cancel("myself") is True
        assert cancel_requested()
        trail.append("goes on until it looks")
        with pytest.raises(Cancelled, match="myself"):
            checkpoint()
        raise RuntimeError("in the way")

    task = spawn(run)
    with pytest.raises(RuntimeError, match="in the way"):
        fetch(task)
    assert trail == ["goes on until it looks"]
    assert task.state == "failed"


def test_cancelled_that_leaves_the_function_makes_the_task_cancelled() -> None:
    def run() -> None:
        here().cancel()
        try:
            checkpoint()
        finally:
            trail.append("finally")

    task = spawn(run)
    with pytest.raises(CancelledError):
        fetch(task)
    assert task.state == "cancelled"
    assert trail == ["finally"]


def test_a_request_stays_until_the_task_ends() -> None:
    """Level-triggered: swallowing one leaves the next checkpoint cancelled too."""

    def stubborn() -> object:
        here().cancel()
        for _ in range(5):
            with pytest.raises(Cancelled):
                checkpoint()
        assert cancel_requested()
        return "my own way"

    task = spawn(stubborn)
    assert fetch(task) == "my own way"
    assert task.state == "done"


@pytest.mark.parametrize(
    "point",
    [
        checkpoint,
        taskrt.yield_now,
        lambda: fetch(gate_task[0]),
        lambda: wait(gate_task[0]),
        lambda: gate_task[0].exception(),
    ],
    ids=["checkpoint", "yield_now", "fetch", "wait", "exception"],
)
def test_every_suspension_point_meets_an_earlier_request(
    point: Callable[[], object],
) -> None:
    def run() -> None:
        here().cancel()
        point()

    with Gate() as gate:
        gate_task[:] = [gate.task]
        with pytest.raises(CancelledError):
            fetch(spawn(run))
        gate_task.clear()


gate_task: list[Task[object]] = []


def test_a_running_task_that_never_looks_keeps_its_result() -> None:
    def run() -> object:
        here().cancel()
        return "done all the same"

    task = spawn(run)
    assert fetch(task) == "done all the same"
    assert not task.cancelled()


def test_request_from_another_thread_reaches_a_running_task() -> None:
    started = threading.Event()

    def busy() -> None:
        started.set()
        while not cancel_requested():
            pass
        checkpoint()

    def foreign() -> None:
        task = spawn(busy)
        handed_over.put(task)
        wait(task)

    handed_over: SimpleQueue[Task[None]] = SimpleQueue()
    thread = threading.Thread(target=foreign)
    thread.start()
    task = handed_over.get()
    started.wait()
    assert task.cancel() is True
    thread.join()
    assert task.cancelled()


def test_the_child_is_asked_and_not_its_inline_parent() -> None:
    def child() -> None:
        here().cancel()
        assert cancel_requested()
        checkpoint()

    def parent() -> object:
        task = pinned(child)
        with pytest.raises(CancelledError):
            fetch(task)
        assert not cancel_requested()
        checkpoint()
        return "untouched"

    assert fetch(spawn(parent)) == "untouched"


def test_outside_a_task_there_is_nothing_to_cancel() -> None:
    checkpoint()
    assert cancel_requested() is False


def test_greenlet_exit_is_a_quiet_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)

    def leave() -> None:
        raise greenlet.GreenletExit

    task = spawn(leave)
    wait(task)
    assert task.state == "cancelled"
    with pytest.raises(CancelledError):
        fetch(task)
    del task
    fetch(spawn(int))
    assert reports == []


def test_a_cancelled_task_that_nobody_asks_about_is_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    with Gate() as gate:
        task = spawn(fetch, gate.task)
        until_suspended(task)
        task.cancel()
        wait(task)
        del task
        pinned(int).cancel()
        fetch(spawn(int))
    assert reports == []


def test_cleanup_may_spawn() -> None:
    born = []

    def run() -> None:
        try:
            here().cancel()
            checkpoint()
        finally:
            born.append(spawn(lambda: "cleaned up"))

    task = spawn(run)
    wait(task)
    assert task.cancelled()
    assert fetch(born[0]) == "cleaned up"


def test_a_worker_survives_a_storm_of_cancellations() -> None:
    with Gate() as gate:
        for _ in range(20):
            tasks = [spawn(fetch, gate.task) for _ in range(50)]
            for task in tasks:
                task.cancel()
            wait(*tasks)
            assert all(t.cancelled() for t in tasks)
    assert fetch(spawn(int)) == 0
