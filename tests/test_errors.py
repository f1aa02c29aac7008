"""Failures: what a fetch raises, and what becomes of a failure nobody fetches."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import traceback

import pytest
from support.gates import Gate, pinned, until, until_suspended

import taskrt
from taskrt import Spawner, Task, fetch, spawn, wait


class Boom(Exception):
    pass


def raiser(error):
    raise error


def outer(error):
    raiser(error)


def frames(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_the_taskrt_errors_are_of_their_kinds():
    assert issubclass(taskrt.DeadlockError, RuntimeError)
    assert issubclass(taskrt.TaskLostError, RuntimeError)


# --- the failure crosses over ----------------------------------------------------------


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "inline"])
def test_every_asker_gets_the_original_object(spawner):
    error = Boom("once")
    task = spawner(outer, error)
    for ask in (fetch, fetch, Task.result, Task.result):
        with pytest.raises(Boom) as caught:
            ask(task)
        assert caught.value is error
    assert task.exception() is error
    assert task.exception(timeout=0) is error
    with pytest.raises(Boom):
        fetch(task, timeout=0)


@pytest.mark.parametrize(
    "kind",
    [
        SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration,
        RecursionError, MemoryError, TimeoutError, BaseException, taskrt.DeadlockError,
    ],
)  # fmt: skip
def test_any_exception_is_a_failure_and_nothing_more(kind):
    error = kind("text")
    task = spawn(outer, error)
    until(task.done)
    assert task.state == "failed"
    with pytest.raises(kind) as caught:
        fetch(task)
    assert caught.value is error
    assert wait(task) is True
    assert fetch(spawn(int)) == 0


def test_real_runaway_recursion_fails_one_task_only():
    def forever():
        return forever()

    tasks = [spawn(forever) for _ in range(5)]
    for task in tasks:
        with pytest.raises(RecursionError):
            fetch(task)
    assert fetch(spawn(int)) == 0


def test_exception_of_a_success_is_none():
    task = spawn(int)
    assert task.exception() is None


def test_traceback_shows_the_tasks_own_frames():
    task = spawn(outer, Boom())
    with pytest.raises(Boom) as caught:
        fetch(task)
    assert frames(caught.value)[-2:] == ["outer", "raiser"]


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "inline"])
def test_traceback_neither_grows_nor_mixes(spawner):
    def fetch_deep(task, depth):
        return fetch(task) if depth == 0 else fetch_deep(task, depth - 1)

    task = spawner(outer, Boom())
    for depth in (5, 0, 3, 0, 5):
        with pytest.raises(Boom) as caught:
            fetch_deep(task, depth)
        mine = [name for name in frames(caught.value) if name == "fetch_deep"]
        assert len(mine) == depth + 1
        assert frames(caught.value)[-2:] == ["outer", "raiser"]
        assert frames(caught.value).count("raiser") == 1


def test_exception_comes_with_the_tasks_own_traceback():
    assert frames(spawn(outer, Boom()).exception()) == ["outer", "raiser"]


def test_traceback_through_a_chain_of_tasks_shows_every_task():
    def middle(error):
        fetch(spawn(outer, error))

    def top(error):
        fetch(spawn(middle, error))

    task = spawn(top, Boom())
    for _ in range(3):
        with pytest.raises(Boom) as caught:
            fetch(task)
        own = [n for n in frames(caught.value) if not n.startswith("test_")]
        assert own == ["top", "middle", "outer", "raiser"]


def test_one_note_names_the_task():
    error = Boom()
    task = Spawner(name="mower")(outer, error)
    for _ in range(3):
        with pytest.raises(Boom):
            fetch(task)
    assert [note for note in error.__notes__ if "mower" in note] == ["in task mower"]


def test_notes_of_the_program_are_kept():
    error = Boom()
    error.add_note("mine")
    task = spawn(outer, error)
    with pytest.raises(Boom):
        fetch(task)
    assert error.__notes__[0] == "mine"
    assert len(error.__notes__) == 2


class Odd(Exception):
    """An exception that will not take a note."""

    __notes__ = "not a list"

    def add_note(self, note):
        raise AssertionError("no notes, please")


def test_an_exception_that_takes_no_note_is_raised_all_the_same():
    error = Odd()
    with pytest.raises(Odd) as caught:
        fetch(spawn(outer, error))
    assert caught.value is error


def test_cause_and_context_are_kept():
    def chained():
        try:
            raiser(KeyError("first"))
        except KeyError as first:
            raise Boom from first

    task = spawn(chained)
    error = task.exception()
    assert isinstance(error.__cause__, KeyError)
    assert error.__context__ is error.__cause__
    with pytest.raises(Boom) as caught:
        fetch(task)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_exception_being_handled_here_is_no_business_of_the_task():
    def look():
        return sys.exc_info()[1]

    try:
        raiser(ValueError())
    except ValueError:
        assert fetch(pinned(look)) is None
        task = pinned(outer, Boom())
        assert task.exception().__context__ is None
        assert isinstance(sys.exc_info()[1], ValueError)


def test_exceptions_being_handled_do_not_mix_between_suspended_tasks():
    def handle(task, error):
        try:
            raise error
        except Boom as mine:
            fetch(task)
            assert sys.exc_info()[1] is mine
            with pytest.raises(Boom) as caught:
                raise
            return caught.value is error

    with Gate() as gate:
        tasks = [spawn(handle, gate.task, Boom(i)) for i in range(20)]
        until_suspended(*tasks)
        gate.open()
        assert all(map(fetch, tasks))


def test_failure_wakes_every_waiter():
    error = Boom()
    got = []

    def ask(task):
        with pytest.raises(Boom) as caught:
            fetch(task)
        got.append(caught.value)

    with Gate(error=error) as gate:
        tasks = [spawn(ask, gate.task) for _ in range(10)]
        threads = [threading.Thread(target=ask, args=(gate.task,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        until_suspended(*tasks)
        gate.open()
        wait(*tasks)
        for thread in threads:
            thread.join()
    assert got == [error] * 15


def test_one_exception_object_may_fail_several_tasks():
    error = Boom()
    for name in ("one", "two"):
        task = Spawner(name=name)(raiser, error)
        with pytest.raises(Boom) as caught:
            fetch(task)
        assert caught.value is error


# --- failures that nobody fetches ------------------------------------------------------


@pytest.fixture
def reports(monkeypatch):
    """What `sys.unraisablehook` is told, as (error, message)."""
    found: list[tuple[BaseException, str]] = []

    def hook(report):
        found.append((report.exc_value, f"{report.err_msg} {report.object!r}"))

    monkeypatch.setattr(sys, "unraisablehook", hook)
    yield found
    found.clear()


def settle():
    """Give every reference that a worker still holds the time to go."""
    gc.collect()
    wait(*[spawn(int) for _ in range(20)])
    gc.collect()


def test_unobserved_failure_is_reported_once_when_the_task_dies(reports):
    error = Boom("lost")
    task = Spawner(name="forgotten")(outer, error)
    wait(task)
    settle()
    assert reports == []
    del task
    until(lambda: gc.collect() is not None and reports)
    settle()
    assert [value for value, _ in reports] == [error]
    assert "forgotten" in reports[0][1]
    assert frames(error) == ["outer", "raiser"]


def test_a_failure_that_was_never_held_is_reported(reports):
    error = Boom()
    spawn(outer, error)
    until(lambda: gc.collect() is not None and reports)
    assert [value for value, _ in reports] == [error]


@pytest.mark.parametrize(
    "observe",
    [
        lambda t: suppressed(fetch, t),
        lambda t: suppressed(Task.result, t),
        lambda t: suppressed(fetch, t, 60),
        lambda t: t.exception(),
        lambda t: t.defuse(),
        lambda t: suppressed(fetch, spawn(fetch, t)),
    ],
    ids=["fetch", "result", "fetch timed", "exception", "defuse", "fetched by a task"],
)
def test_an_observed_failure_is_not_reported(reports, observe):
    task = spawn(outer, Boom())
    observe(task)
    wait(task)
    del task
    settle()
    assert reports == []


def suppressed(ask, *args):
    with contextlib.suppress(Boom):
        ask(*args)


def test_defuse_before_the_failure_silences_it(reports):
    task = pinned(outer, Boom())
    assert task.defuse() is None
    wait(task)
    del task
    settle()
    assert reports == []


@pytest.mark.parametrize(
    "look",
    [wait, Task.done, Task.running, Task.cancelled, repr, lambda t: t.state],
    ids=["wait", "done", "running", "cancelled", "repr", "state"],
)
def test_a_look_is_not_an_observation(reports, look):
    error = Boom()
    task = spawn(outer, error)
    wait(task)
    look(task)
    del task
    until(lambda: gc.collect() is not None and reports)
    assert [value for value, _ in reports] == [error]


def test_a_wait_that_times_out_is_not_an_observation(reports):
    error = Boom()
    with Gate() as gate:

        def fail():
            wait(gate.task)
            raise error

        task = spawn(fail)
        with pytest.raises(TimeoutError):
            fetch(task, timeout=0)
        gate.open()
        wait(task)
    del task, fail
    until(lambda: gc.collect() is not None and reports)
    assert [value for value, _ in reports] == [error]


def test_a_detached_failure_is_reported_at_completion(reports):
    error = Boom("at once")
    task = Spawner(detached=True, name="stray")(outer, error)
    wait(task)
    until(lambda: reports)
    assert [value for value, _ in reports] == [error]
    assert "stray" in reports[0][1]
    del task
    settle()
    assert len(reports) == 1


def test_a_cycle_through_the_failure_is_still_reported_once(reports):
    def fail():
        me = taskrt.current_task()
        raise Boom(me)

    task = spawn(fail)
    wait(task)
    del task, fail
    until(lambda: gc.collect() is not None and reports)
    settle()
    assert [type(value) for value, _ in reports] == [Boom]


def test_an_unraisable_hook_that_raises_harms_nothing(monkeypatch, capsys):
    called = []

    def hook(report):
        called.append(type(report.exc_value))
        raise ValueError("bad hook")

    monkeypatch.setattr(sys, "unraisablehook", hook)
    spawn(outer, Boom())
    until(lambda: gc.collect() is not None and called)
    assert fetch(spawn(int)) == 0
    assert called == [Boom]


def test_many_unobserved_failures_are_each_reported(reports):
    errors = [Boom(i) for i in range(300)]
    for error in errors:
        spawn(outer, error)
    until(lambda: gc.collect() is not None and len(reports) >= len(errors))
    settle()
    assert sorted(value.args[0] for value, _ in reports) == list(range(300))
