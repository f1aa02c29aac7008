"""spawn_after: tasks that follow others; report_errors."""

from __future__ import annotations

import contextvars
import gc
import sys
import weakref

import pytest
from support.ends import cancelled, failed
from support.gates import Gate, pinned, until

import taskrt
from taskrt import (
    CancelledError,
    Spawner,
    fetch,
    spawn,
    spawn_after,
    spawn_later,
    timers,
    wait,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002
LONG = 1000.0


def fail(error: BaseException) -> None:
    raise error


def pending_timers() -> int:
    return len(timers._keeper._heap)


# --- spawn_after ----------------------------------------------------------------------


def test_it_runs_when_all_have_ended() -> None:
    with Gate() as one, Gate() as other:
        task = spawn_after([one.task, other.task], lambda: "ran")
        one.close()
        taskrt.yield_now()
        assert task.state == "pending"
        other.open()
        assert fetch(task) == "ran"


def test_a_fetch_does_not_run_it_before_its_time() -> None:
    event = Event()
    dep = spawn(event.wait)
    task = spawn_after(dep, lambda: dep.state)
    setter = spawn(event.set)
    assert fetch(task) == "done"
    wait(setter)


def test_after_nothing_it_runs_at_once() -> None:
    assert fetch(spawn_after([], pow, 2, 5)) == 32
    assert fetch(spawn_after(iter(()), int, "11", base=2)) == 3


def test_after_what_has_ended_it_runs_at_once() -> None:
    dep = spawn(int)
    wait(dep)
    assert fetch(spawn_after([dep, dep], lambda: "ran")) == "ran"


def test_a_chain_and_a_diamond() -> None:
    task = spawn(int, 0)
    for _ in range(200):
        task = spawn_after(task, lambda before=task: fetch(before) + 1)
    assert fetch(task) == 200
    top = spawn(int, 1)
    sides = [spawn_after(top, lambda n=n: fetch(top) + n) for n in range(5)]
    bottom = spawn_after(sides, lambda: sum(map(fetch, sides)))
    assert fetch(bottom) == 15


def test_a_failure_cancels_what_follows_with_the_cause() -> None:
    ran: list[int] = []
    dep = Spawner(name="culprit")(fail, ValueError("bad"))
    task = spawn_after([spawn(int), dep], ran.append, 1)
    last = spawn_after(task, ran.append, 2)
    with pytest.raises(CancelledError, match=r"culprit.* failed: ValueError\('bad'\)"):
        fetch(task)
    with pytest.raises(CancelledError, match="was cancelled"):
        fetch(last)
    assert ran == []
    assert isinstance(dep.exception(), ValueError)


def test_the_failure_does_not_count_as_observed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    wait(spawn_after(spawn(fail, ValueError()), int))
    gc.collect()
    until(lambda: reports)
    assert len(reports) == 1


def test_a_cancelled_one_cancels_what_follows() -> None:
    dep = pinned(int)
    task = spawn_after(dep, int)
    dep.cancel()
    with pytest.raises(CancelledError, match="was cancelled"):
        fetch(task)


def test_a_failure_cancels_before_the_rest_has_ended() -> None:
    with Gate() as gate:
        bad = spawn(fail, ValueError())
        bad.defuse()
        task = spawn_after([gate.task, bad], int)
        with pytest.raises(CancelledError):
            fetch(task)
        assert not gate.task.done()


def test_cancelled_while_it_is_held_it_never_runs() -> None:
    ran: list[int] = []
    with Gate() as gate:
        task = spawn_after(gate.task, ran.append, 1)
        assert task.cancel("changed my mind")
        with pytest.raises(CancelledError, match="changed my mind"):
            fetch(task)
        gate.close()
    fetch(spawn(int))
    assert ran == []


def test_deps_are_tasks() -> None:
    for wrong in (5, [spawn(int), "task"]):
        with pytest.raises(TypeError):
            spawn_after(wrong, int)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable"):
        spawn_after([], 5)  # type: ignore[arg-type]


def test_it_sees_the_context_of_its_spawn() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    with Gate() as gate:
        token = variable.set("at spawn")
        task = spawn_after(gate.task, variable.get)
        later = spawn_later(SOON, variable.get)
        variable.reset(token)
        gate.open()
        assert fetch(task) == "at spawn"
        assert fetch(later) == "at spawn"


def test_many_end_at_the_same_time() -> None:
    for _ in range(20):
        event = Event()
        deps = [spawn(event.wait) for _ in range(50)]
        tasks = [spawn_after(deps, int) for _ in range(50)]
        setter = spawn(event.set)
        assert [fetch(task) for task in tasks] == [0] * 50
        wait(setter, *deps)


def test_a_long_chain_is_cancelled_to_its_end() -> None:
    with Gate() as gate:
        first = spawn_after(gate.task, int)
        tasks: list[taskrt.Task[int]] = [first]
        for _ in range(30_000):
            tasks.append(spawn_after(tasks[-1], int))
        first.cancel()
        assert all(task.cancelled() for task in tasks)


def test_a_cause_that_cannot_be_shown_cancels_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Shy(Exception):
        def __repr__(self) -> str:
            raise KeyboardInterrupt  # as a signal handler might, in the middle

    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: reports.append(report))
    dep = Spawner(name="culprit")(fail, Shy())
    dep.defuse()
    with pytest.raises(CancelledError, match="culprit.* failed: a Shy"):
        fetch(spawn_after(dep, int))
    assert len(reports) == 1


def test_nothing_stays_at_others_once_it_has_ended() -> None:
    with Gate() as gate:
        before = sys.getrefcount(gate.task)
        for _ in range(100):
            spawn_after(gate.task, int).cancel()
        until(lambda: sys.getrefcount(gate.task) == before)
        for bad in (spawn(fail, ValueError()), failed(KeyError()), cancelled()):
            wait(spawn_after([gate.task, bad, gate.task], int))
            bad.defuse()
        until(lambda: sys.getrefcount(gate.task) == before)
        assert not gate.task.done()


def test_cancelled_while_the_others_end() -> None:
    """Each either runs or is cancelled, whoever comes first."""
    for round_ in range(100):
        event, ran = Event(), taskrt.AtomicInt()
        deps: list[taskrt.Task[object]] = [spawn(event.wait) for _ in range(4)]
        if round_ % 4 == 0:
            deps.append(spawn_after(deps[0], fail, KeyError()))
            deps[-1].defuse()
        tasks = [spawn_after(deps, ran.fetch_add, 1) for _ in range(6)]
        others = [spawn(task.cancel, "by another") for task in tasks[::2]]
        others.insert(round_ % 4, spawn(event.set))
        wait(*tasks, *others, *deps)
        assert ran.load() == sum(task.state == "done" for task in tasks)
        assert all(task.state in ("done", "cancelled") for task in tasks)


def test_what_has_ended_is_not_kept_for_the_others() -> None:
    class Value:
        pass

    with Gate() as gate:
        dep = spawn(Value)
        value = weakref.ref(fetch(dep))
        task = spawn_after([dep, gate.task], int)
        del dep
        until(lambda: gc.collect() is not None and value() is None)
        gate.open()
        assert fetch(task) == 0


# --- report_errors --------------------------------------------------------------------


def test_errors_are_reported_when_the_task_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    task = pinned(fail, ValueError("mine"))
    assert task.report_errors() is task
    for ask in (wait, wait):
        ask(task)
    until(lambda: reports)
    with pytest.raises(ValueError, match="mine"):
        fetch(task)
    assert len(reports) == 1
    ended = spawn(fail, KeyError())
    wait(ended)
    ended.report_errors().report_errors()
    assert len(reports) == 2
    observed = spawn(fail, KeyError())
    assert observed.exception()
    observed.report_errors()
    spawn(int).report_errors()
    del task, ended, observed
    gc.collect()
    assert len(reports) == 2
