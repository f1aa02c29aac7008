"""The `Task` object, `fetch`, `wait` and done callbacks."""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import gc
import math
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, get_origin

import pytest
from support.gates import Gate, here, pinned, until, until_suspended

import taskrt
from taskrt import Spawner, Task, fetch, spawn, wait


def everything(
    *args: object, **kwargs: object
) -> tuple[tuple[object, ...], dict[str, object]]:
    return args, kwargs


# --- the Task object ------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate",
    [pickle.dumps, copy.copy, copy.deepcopy],
    ids=lambda f: f.__qualname__,
)
def test_task_is_not_copied_or_pickled(duplicate: Callable[[Any], object]) -> None:
    task = spawn(int)
    with pytest.raises(TypeError, match="Task"):
        duplicate(task)
    assert fetch(task) == 0


def test_task_is_weakly_referable() -> None:
    task = spawn(int)
    ref = weakref.ref(task)
    assert ref() is task
    fetch(task)
    del task
    until(lambda: gc.collect() is not None and ref() is None)


def test_task_is_generic_at_run_time() -> None:
    assert get_origin(Task[int]) is Task


def test_tasks_compare_and_hash_by_identity() -> None:
    one, two = spawn(int), spawn(int)
    assert one == one
    assert one != two
    assert len({one, two, one}) == 2
    wait(one, two)


def test_ids_are_distinct_integers() -> None:
    tasks = [spawn(int) for _ in range(100)]
    wait(*tasks)
    assert all(type(t.id) is int for t in tasks)
    assert len({t.id for t in tasks}) == 100


def test_a_task_has_a_name_without_being_given_one() -> None:
    task = spawn(everything)
    assert isinstance(task.name, str)
    assert task.name
    fetch(task)


def test_repr_shows_name_and_state() -> None:
    task = Spawner(name="painter", pinned=True)(int)
    assert "painter" in repr(task)
    assert "pending" in repr(task)
    fetch(task)
    assert "painter" in repr(task)
    assert "done" in repr(task)


def poll(task: taskrt.Task[object]) -> tuple[str, bool, bool, bool]:
    return task.state, task.done(), task.running(), task.cancelled()


def test_states_of_a_task_that_ends_well() -> None:
    seen: list[Any] = []
    task = pinned(lambda: seen.append(poll(here())))
    assert poll(task) == ("pending", False, False, False)
    fetch(task)
    assert seen == [("running", False, True, False)]
    assert poll(task) == ("done", True, False, False)


def test_states_of_a_task_that_fails() -> None:
    task = pinned(lambda: 1 / 0)
    wait(task)
    assert poll(task) == ("failed", True, False, False)
    assert isinstance(task.exception(), ZeroDivisionError)


def test_states_of_a_task_that_is_cancelled() -> None:
    task = pinned(int)
    task.cancel()
    assert poll(task) == ("cancelled", True, False, True)


def test_states_of_a_task_that_suspends() -> None:
    with Gate() as gate:
        task = pinned(fetch, gate.task)
        until_suspended(task)
        assert poll(task) == ("suspended", False, True, False)
        gate.close()
        assert poll(task) == ("ready", False, True, False)
        fetch(task)
        assert task.state == "done"


def test_running_is_seen_from_outside() -> None:
    with Gate() as gate:
        assert poll(gate.task) == ("running", False, True, False)


def test_task_has_the_methods_of_a_future() -> None:
    task = spawn(int)
    for name in (
        "result", "exception", "done", "running", "cancelled", "cancel",
        "add_done_callback",
    ):  # fmt: skip
        assert hasattr(concurrent.futures.Future, name)
        assert callable(getattr(task, name))
    assert task.result() == 0
    assert task.exception() is None


# --- fetch ----------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [fetch, Task.result], ids=["fetch", "result"])
def test_a_result_is_kept_for_every_asker(ask: Callable[[Task[Any]], object]) -> None:
    value = object()
    task = spawn(lambda: value)
    assert [ask(task) for _ in range(10)] == [value] * 10


def test_many_tasks_and_threads_fetch_one_task() -> None:
    value = object()
    got = []
    with Gate(value) as gate:
        tasks = [spawn(fetch, gate.task) for _ in range(100)]
        threads = [
            threading.Thread(target=lambda: got.append(fetch(gate.task)))
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        until_suspended(*tasks)
        gate.open()
        assert all(fetch(t) is value for t in tasks)
        assert fetch(gate.task) is value
        for thread in threads:
            thread.join()
    assert got == [value] * 10


@pytest.mark.parametrize("thing", [3, None, int, concurrent.futures.Future()])
def test_fetch_of_anything_but_a_task_is_a_type_error(thing: Any) -> None:
    kind = type(thing).__name__
    with pytest.raises(
        TypeError, match=rf"^fetch\(\) takes a taskrt.Task, not '{kind}'"
    ):
        fetch(thing)
    with pytest.raises(TypeError, match="taskrt.Task"):
        wait(thing)


@pytest.mark.parametrize(
    "call",
    [
        lambda verbs, t: verbs.fetch(),
        lambda verbs, t: verbs.fetch(t, 1, 2),
        lambda verbs, t: verbs.fetch(t, patience=1),
        lambda verbs, t: verbs.wait(t, patience=1),
        lambda verbs, t: t.result(1, 2),
        lambda verbs, t: t.exception(patience=1),
        lambda verbs, t: t.add_done_callback(),
    ],
)
def test_wrong_calls_are_type_errors(call: Callable[[Any, Any], object]) -> None:
    task = spawn(int)
    with pytest.raises(TypeError):
        call(taskrt, task)
    assert fetch(task) == 0


def each_timed_wait(task: Task[Any], timeout: Any) -> Iterator[Callable[[], object]]:
    """Every way to wait with a timeout; each either raises TimeoutError or is False."""
    yield lambda: fetch(task, timeout)
    yield lambda: fetch(task, timeout=timeout)
    yield lambda: task.result(timeout)
    yield lambda: task.result(timeout=timeout)
    yield lambda: task.exception(timeout)
    yield lambda: task.exception(timeout=timeout)


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, -math.inf, 0.001, 1e-9])
def test_timeout_leaves_the_task_running(timeout: float) -> None:
    with Gate(7) as gate:
        for attempt in each_timed_wait(gate.task, timeout):
            with pytest.raises(TimeoutError):
                attempt()
        assert wait(gate.task, timeout=timeout) is False
        assert gate.task.state == "running"
        gate.open()
        assert fetch(gate.task) == 7


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_timeout_inside_a_task(timeout: float) -> None:
    def impatient(task: taskrt.Task[object]) -> object:
        outcomes = []
        for attempt in each_timed_wait(task, timeout):
            with pytest.raises(TimeoutError):
                attempt()
            outcomes.append(here().state)
        return outcomes, wait(task, timeout=timeout)

    with Gate() as gate:
        tasks = [spawn(impatient, gate.task) for _ in range(10)]
        assert [fetch(t) for t in tasks] == [(["running"] * 6, False)] * 10
        assert gate.task.state == "running"


def test_timeout_on_a_foreign_thread() -> None:
    outcomes: list[object] = []

    def impatient(task: taskrt.Task[object]) -> None:
        try:
            fetch(task, timeout=0.001)
        except TimeoutError as error:
            outcomes.append(error)
        outcomes.append(wait(task, timeout=0))

    with Gate() as gate:
        thread = threading.Thread(target=impatient, args=(gate.task,))
        thread.start()
        thread.join()
    assert isinstance(outcomes[0], TimeoutError)
    assert outcomes[1] is False


@pytest.mark.parametrize("timeout", [0, -1, 0.5, 3, 1e9, 1e300, math.inf, None, True])
def test_a_finished_task_needs_no_time(timeout: float) -> None:
    task = spawn(int)
    wait(task)
    assert wait(task, timeout=timeout) is True
    assert task.exception(timeout) is None
    assert task.result(timeout) == fetch(task, timeout) == 0


@pytest.mark.parametrize("timeout", [60, 1e9, 1e300, math.inf, None])
def test_a_pending_task_runs_within_a_long_timeout(timeout: float) -> None:
    assert fetch(pinned(int), timeout) == 0
    assert wait(pinned(int), pinned(int), timeout=timeout) is True
    assert fetch(spawn(lambda: fetch(pinned(int), timeout))) == 0


def test_a_poll_starts_nothing() -> None:
    task = pinned(int)
    with pytest.raises(TimeoutError):
        fetch(task, 0)
    assert wait(task, timeout=0) is False
    assert task.state == "pending"
    assert fetch(task) == 0


@pytest.mark.parametrize(
    ("timeout", "error"),
    [("1", TypeError), ([], TypeError), (1j, TypeError), (math.nan, ValueError)],
)
def test_bad_timeouts_are_refused(timeout: Any, error: type[Exception]) -> None:
    finished = spawn(int)
    wait(finished)
    with Gate() as gate:
        for task in (finished, gate.task):
            for attempt in each_timed_wait(task, timeout):
                with pytest.raises(error, match="timeout"):
                    attempt()
            with pytest.raises(error, match="timeout"):
                wait(task, timeout=timeout)


# --- wait -----------------------------------------------------------------------------


def test_wait_for_nothing_is_true() -> None:
    assert wait() is True
    assert wait(timeout=0) is True


def test_wait_takes_any_number_of_tasks_in_any_state() -> None:
    done, failed, cancelled = spawn(int), spawn(lambda: 1 / 0), pinned(int)
    cancelled.cancel()
    pending = [spawn(int) for _ in range(100)]
    assert wait(done, failed, cancelled, *pending, done, failed) is True
    assert all(t.done() for t in (done, failed, cancelled, *pending))
    failed.defuse()


def test_wait_is_false_while_one_of_the_tasks_runs() -> None:
    with Gate() as gate:
        done = spawn(int)
        wait(done)
        assert wait(done, gate.task, timeout=0) is False
        assert wait(gate.task, done, timeout=0.001) is False
        gate.open()
        assert wait(gate.task, done, timeout=60) is True


def test_wait_returns_only_when_all_are_done() -> None:
    with Gate() as first, Gate() as second:
        waiter = pinned(wait, first.task, second.task)
        until_suspended(waiter)
        first.close()
        taskrt.yield_now()
        taskrt.yield_now()
        assert not waiter.done()
        second.close()
        assert fetch(waiter) is True


# --- done callbacks -------------------------------------------------------------------


def note(seen: list[tuple[int, Task[int]]], number: int, task: Task[int]) -> None:
    seen.append((number, task))


def test_callbacks_run_in_the_order_they_were_added() -> None:
    seen: list[tuple[int, Task[int]]] = []
    task = pinned(int)
    for i in range(10):
        task.add_done_callback(functools.partial(note, seen, i))
    assert seen == []
    fetch(task)
    until(lambda: len(seen) == 10)
    assert seen == [(i, task) for i in range(10)]


def test_callback_of_a_finished_task_runs_at_once() -> None:
    task = spawn(int)
    wait(task)
    seen: list[Any] = []
    task.add_done_callback(seen.append)
    assert seen == [task]


@pytest.mark.parametrize("fn", [lambda: 1 / 0, int], ids=["failed", "cancelled"])
def test_callbacks_run_however_the_task_ends(fn: Callable[..., object]) -> None:
    seen: list[Any] = []
    task = pinned(fn)
    task.add_done_callback(lambda t: seen.append(t.done()))
    if fn is int:
        task.cancel()
    wait(task)
    until(lambda: seen)
    assert seen == [True]
    task.defuse()


def test_callback_must_be_callable() -> None:
    task = spawn(int)
    with pytest.raises(TypeError):
        task.add_done_callback(3)  # type: ignore[arg-type]
    assert fetch(task) == 0


def test_waiters_are_released_before_callbacks_run() -> None:
    released = threading.Event()
    with Gate() as gate:
        gate.task.add_done_callback(lambda _: released.wait())
        gate.open()
        fetch(gate.task)
        released.set()


def test_callback_may_use_its_task() -> None:
    seen: list[Any] = []

    def callback(task: taskrt.Task[object]) -> None:
        seen.append((task.done(), fetch(task), task.result(), fetch(spawn(int))))
        task.add_done_callback(lambda _: seen.append("nested"))

    task = spawn(lambda: 5)
    task.add_done_callback(callback)
    fetch(task)
    until(lambda: len(seen) == 2)
    assert seen == [(True, 5, 5, 0), "nested"]


def test_callback_error_is_reported_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: reports.append(report))
    seen: list[Any] = []
    error = ValueError("callback")

    def bad(task: taskrt.Task[object]) -> None:
        raise error

    task = pinned(int)
    task.add_done_callback(bad)
    task.add_done_callback(seen.append)
    assert fetch(task) == 0
    until(lambda: seen)
    assert [report.exc_value for report in reports] == [error]
    task.add_done_callback(bad)
    assert [report.exc_value for report in reports] == [error, error]
    del reports[:]


def test_callback_added_while_the_task_ends_runs_exactly_once() -> None:
    for _ in range(300):
        seen: list[Any] = []
        task = spawn(int)
        threads = [
            threading.Thread(target=task.add_done_callback, args=(seen.append,))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        fetch(task)
        for thread in threads:
            thread.join()
        until(lambda: len(seen) == 2)
        assert seen == [task, task]
