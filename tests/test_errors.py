"""Failures: what a fetch raises, and what becomes of a failure nobody fetches."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import Gate, pinned, until, until_suspended

import taskrt
from taskrt import Spawner, Task, fetch, spawn, wait


class Boom(Exception):
    pass


def raiser(error: BaseException) -> None:
    raise error


def outer(error: BaseException) -> None:
    raiser(error)


def frames(error: BaseException | None) -> list[str]:
    assert error is not None
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_the_taskrt_errors_are_of_their_kinds() -> None:
    assert issubclass(taskrt.DeadlockError, RuntimeError)
    assert issubclass(taskrt.TaskLostError, RuntimeError)


# --- the failure crosses over ---------------------------------------------------------


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "inline"])
def test_every_asker_gets_the_original_object(
    spawner: Callable[..., Task[Any]],
) -> None:
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
def test_any_exception_is_a_failure_and_nothing_more(kind: type[BaseException]) -> None:
    error = kind("text")
    task = spawn(outer, error)
    until(task.done)
    assert task.state == "failed"
    with pytest.raises(kind) as caught:
        fetch(task)
    assert caught.value is error
    assert wait(task) is True
    assert fetch(spawn(int)) == 0


def test_real_runaway_recursion_fails_one_task_only() -> None:
    def forever() -> object:
        return forever()

    tasks = [spawn(forever) for _ in range(5)]
    for task in tasks:
        with pytest.raises(RecursionError):
            fetch(task)
    assert fetch(spawn(int)) == 0


def test_exception_of_a_success_is_none() -> None:
    task = spawn(int)
    assert task.exception() is None


def test_traceback_shows_the_tasks_own_frames() -> None:
    task = spawn(outer, Boom())
    with pytest.raises(Boom) as caught:
        fetch(task)
    assert frames(caught.value)[-2:] == ["outer", "raiser"]


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "inline"])
def test_traceback_neither_grows_nor_mixes(spawner: Callable[..., Task[Any]]) -> None:
    def fetch_deep(task: taskrt.Task[object], depth: int) -> object:
        return fetch(task) if depth == 0 else fetch_deep(task, depth - 1)

    task = spawner(outer, Boom())
    for depth in (5, 0, 3, 0, 5):
        with pytest.raises(Boom) as caught:
            fetch_deep(task, depth)
        mine = [name for name in frames(caught.value) if name == "fetch_deep"]
        assert len(mine) == depth + 1
        assert frames(caught.value)[-2:] == ["outer", "raiser"]
        assert frames(caught.value).count("raiser") == 1


def test_exception_comes_with_the_tasks_own_traceback() -> None:
    assert frames(spawn(outer, Boom()).exception()) == ["outer", "raiser"]


def test_traceback_through_a_chain_of_tasks_shows_every_task() -> None:
    def middle(error: BaseException) -> None:
        fetch(spawn(outer, error))

    def top(error: BaseException) -> None:
        fetch(spawn(middle, error))

    task = spawn(top, Boom())
    for _ in range(3):
        with pytest.raises(Boom) as caught:
            fetch(task)
        own = [n for n in frames(caught.value) if not n.startswith("test_")]
        assert own == ["top", "middle", "outer", "raiser"]


def test_one_note_names_the_task() -> None:
    error = Boom()
    task = Spawner(name="mower")(outer, error)
    for _ in range(3):
        with pytest.raises(Boom):
            fetch(task)
    assert [note for note in error.__notes__ if "mower" in note] == ["in task mower"]


def test_notes_of_the_program_are_kept() -> None:
    error = Boom()
    error.add_note("mine")
    task = spawn(outer, error)
    with pytest.raises(Boom):
        fetch(task)
    assert error.__notes__[0] == "mine"
    assert len(error.__notes__) == 2


class Odd(Exception):
    """An exception that will not take a note."""

    __notes__: Any = "not a list"

    def add_note(self, note: object) -> None:
        raise AssertionError("no notes, please")


def test_an_exception_that_takes_no_note_is_raised_all_the_same() -> None:
    error = Odd()
    with pytest.raises(Odd) as caught:
        fetch(spawn(outer, error))
    assert caught.value is error


def test_cause_and_context_are_kept() -> None:
    def chained() -> None:
        try:
            raiser(KeyError("first"))
        except KeyError as first:
            raise Boom from first

    task = spawn(chained)
    error = task.exception()
    assert error is not None
    assert isinstance(error.__cause__, KeyError)
    assert error.__context__ is error.__cause__
    with pytest.raises(Boom) as caught:
        fetch(task)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_exception_being_handled_here_is_no_business_of_the_task() -> None:
    def look() -> object:
        return sys.exc_info()[1]

    try:
        raiser(ValueError())
    except ValueError:
        assert fetch(pinned(look)) is None
        task = pinned(outer, Boom())
        error = task.exception()
        assert error is not None
        assert error.__context__ is None
        assert isinstance(sys.exc_info()[1], ValueError)


def test_exceptions_being_handled_do_not_mix_between_suspended_tasks() -> None:
    def handle(task: taskrt.Task[object], error: BaseException) -> object:
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


def test_failure_wakes_every_waiter() -> None:
    error = Boom()
    got = []

    def ask(task: taskrt.Task[object]) -> None:
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


def test_one_exception_object_may_fail_several_tasks() -> None:
    error = Boom()
    for name in ("one", "two"):
        task = Spawner(name=name)(raiser, error)
        with pytest.raises(Boom) as caught:
            fetch(task)
        assert caught.value is error


# --- failures that nobody fetches -----------------------------------------------------


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> object:
    """What `sys.unraisablehook` is told, as (error, message)."""
    found: list[tuple[BaseException, str]] = []

    def hook(report: Any) -> None:
        found.append((report.exc_value, f"{report.err_msg} {report.object!r}"))

    monkeypatch.setattr(sys, "unraisablehook", hook)
    yield found
    found.clear()


def settle() -> None:
    """Give every reference that a worker still holds the time to go."""
    gc.collect()
    wait(*[spawn(int) for _ in range(20)])
    gc.collect()


def test_unobserved_failure_is_reported_once_when_the_task_dies(
    reports: list[tuple[BaseException, str]],
) -> None:
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


def test_a_failure_that_was_never_held_is_reported(
    reports: list[tuple[BaseException, str]],
) -> None:
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
def test_an_observed_failure_is_not_reported(
    reports: list[tuple[BaseException, str]], observe: Callable[[Task[Any]], object]
) -> None:
    task = spawn(outer, Boom())
    observe(task)
    wait(task)
    del task
    settle()
    assert reports == []


def suppressed(ask: Callable[..., object], *args: object) -> None:
    with contextlib.suppress(Boom):
        ask(*args)


def test_defuse_before_the_failure_silences_it(
    reports: list[tuple[BaseException, str]],
) -> None:
    task = pinned(outer, Boom())
    task.defuse()
    wait(task)
    del task
    settle()
    assert reports == []


@pytest.mark.parametrize(
    "look",
    [wait, Task.done, Task.running, Task.cancelled, repr, lambda t: t.state],
    ids=["wait", "done", "running", "cancelled", "repr", "state"],
)
def test_a_look_is_not_an_observation(
    reports: list[tuple[BaseException, str]], look: Callable[[Task[Any]], object]
) -> None:
    error = Boom()
    task = spawn(outer, error)
    wait(task)
    look(task)
    del task
    until(lambda: gc.collect() is not None and reports)
    assert [value for value, _ in reports] == [error]


def test_a_wait_that_times_out_is_not_an_observation(
    reports: list[tuple[BaseException, str]],
) -> None:
    error = Boom()
    with Gate() as gate:

        def fail() -> None:
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


def test_a_detached_failure_is_reported_at_completion(
    reports: list[tuple[BaseException, str]],
) -> None:
    error = Boom("at once")
    task = Spawner(detached=True, name="stray")(outer, error)
    wait(task)
    until(lambda: reports)
    assert [value for value, _ in reports] == [error]
    assert "stray" in reports[0][1]
    del task
    settle()
    assert len(reports) == 1


def test_a_cycle_through_the_failure_is_still_reported_once(
    reports: list[tuple[BaseException, str]],
) -> None:
    def fail() -> None:
        me = taskrt.current_task()
        raise Boom(me)

    task = spawn(fail)
    wait(task)
    del task, fail
    until(lambda: gc.collect() is not None and reports)
    settle()
    assert [type(value) for value, _ in reports] == [Boom]


def test_an_unraisable_hook_that_raises_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = []

    def hook(report: Any) -> None:
        called.append(type(report.exc_value))
        raise ValueError("bad hook")

    monkeypatch.setattr(sys, "unraisablehook", hook)
    spawn(outer, Boom())
    until(lambda: gc.collect() is not None and called)
    assert fetch(spawn(int)) == 0
    assert called == [Boom]


def test_many_unobserved_failures_are_each_reported(
    reports: list[tuple[BaseException, str]],
) -> None:
    errors = [Boom(i) for i in range(300)]
    for error in errors:
        spawn(outer, error)
    until(lambda: gc.collect() is not None and len(reports) >= len(errors))
    settle()
    assert sorted(value.args[0] for value, _ in reports) == list(range(300))
