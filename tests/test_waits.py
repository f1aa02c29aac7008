"""Waits for several tasks."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
from support.ends import cancelled, done, fail, failed, waiters_of
from support.gates import Gate, until
from support.gates import join as join_threads
from support.places import in_thread

from taskrt import (
    CancelledError,
    CancelScope,
    Spawner,
    Task,
    as_completed,
    fetch,
    fetch_all,
    move_on_after,
    sleep,
    spawn,
    wait,
    wait_all,
    wait_any,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002
NEVER = 1e6


# --- wait_any -------------------------------------------------------------------------


def test_any_of_none() -> None:
    assert wait_any([]) == (set(), set())


def test_any_returns_the_first_to_end() -> None:
    with Gate(1) as slow:
        quick = spawn(int)
        assert wait_any([slow.task, quick]) == ({quick}, {slow.task})
        assert not slow.task.done()
        slow.open()
        assert wait_any({slow.task})[0] == {slow.task}


def test_any_returns_at_once_what_has_ended() -> None:
    ended = [done(), failed(ValueError()), cancelled()]
    with Gate() as gate:
        assert wait_any([gate.task, *ended]) == (set(ended), {gate.task})
    ended[1].defuse()


def test_any_does_not_run_one_that_it_could_wait_for_longer() -> None:
    """A task that never ends must not be run as a call of the wait."""
    event = Event()
    slow = spawn(event.wait)
    quick = spawn(int)
    pair = (slow, quick)
    for order in (pair, pair[::-1]):
        assert quick in wait_any(order)[0]
    event.set()
    wait(slow)


def test_any_ends_when_time_is_up() -> None:
    with Gate() as gate:
        for timeout in (0, SOON, -1):
            assert wait_any([gate.task], timeout) == (set(), {gate.task})


def test_any_raises_no_error_of_a_task() -> None:
    task = spawn(fail, ValueError())
    assert wait_any([task]) == ({task}, set())
    assert isinstance(task.exception(), ValueError)


def test_any_is_a_checkpoint_and_its_wait_can_be_cancelled() -> None:
    with CancelScope() as scope:
        scope.cancel()
        wait_any([done()])
        pytest.fail("not reached")
    with Gate() as gate:
        with move_on_after(SOON) as scope:
            wait_any([gate.task])
        assert scope.cancelled_caught


def test_any_leaves_nothing_at_the_losers() -> None:
    with Gate() as gate:
        for _ in range(500):
            wait_any([gate.task], 0.00001)
            wait_any([gate.task, spawn(int)])
        gc.collect()
        assert waiters_of(gate.task) == 0


def test_any_from_many_threads() -> None:
    """Stampede: all of them see the one that ends."""
    answers: list[object] = []
    with Gate() as one, Gate() as other:

        def ask() -> None:
            answers.append(wait_any([one.task, other.task])[0])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        tasks = [spawn(ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        one.open()
        join_threads(*threads)
        wait(*tasks)
        assert answers == [{one.task}] * 16


def test_any_may_name_a_task_twice() -> None:
    with Gate() as gate:
        task = spawn(int)
        assert task in wait_any([task, task, gate.task])[0]


@pytest.mark.parametrize(
    "call", [wait_any, wait_all, fetch_all, as_completed], ids=lambda fn: fn.__name__
)
def test_only_tasks_are_waited_for(call: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="int"):
        call([spawn(int), 5])
    with pytest.raises(TypeError):
        call(5)


# --- wait_all -------------------------------------------------------------------------


@pytest.mark.parametrize("fail_fast", [True, False])
def test_all_waits_for_all(fail_fast: bool) -> None:
    tasks = [spawn(sleep, SOON) for _ in range(10)]
    assert wait_all(iter(tasks), fail_fast=fail_fast) == (set(tasks), set())
    assert wait_all([]) == (set(), set())


@pytest.mark.parametrize("fail_fast", [True, False])
def test_all_ends_when_time_is_up(fail_fast: bool) -> None:
    with Gate() as gate:
        task = done()
        outcome = wait_all([gate.task, task], SOON, fail_fast)
        assert outcome == ({task}, {gate.task})


def test_all_returns_at_the_first_failure() -> None:
    with Gate() as gate:
        for bad in (spawn(fail, ValueError()), failed(KeyError()), cancelled()):
            assert wait_all([gate.task, bad]) == ({bad}, {gate.task})
            bad.defuse()
        gc.collect()
        assert waiters_of(gate.task) == 0
        assert not gate.task.done()


def test_all_without_fail_fast_waits_on() -> None:
    event = Event()
    tasks = [spawn(event.wait), failed(ValueError())]
    starter = spawn(event.set)
    assert wait_all(tasks, fail_fast=False) == (set(tasks), set())
    wait(starter)
    tasks[1].defuse()


# --- fetch_all ------------------------------------------------------------------------


@pytest.mark.parametrize("fail_fast", [True, False])
def test_values_come_in_the_order_given(fail_fast: bool) -> None:
    tasks = [spawn(pow, n, 2) for n in range(100)]
    assert fetch_all(tasks, fail_fast) == [n * n for n in range(100)]
    assert fetch_all([tasks[3], tasks[1], tasks[3]]) == [9, 1, 9]
    assert fetch_all([]) == []


def test_the_error_of_the_lowest_index_is_raised_itself() -> None:
    errors = [ValueError("first"), KeyError("second"), OSError("third")]
    tasks = [done(), *map(failed, errors)]
    with pytest.raises(ValueError, match="first") as caught:
        fetch_all(tasks)
    assert caught.value is errors[0]
    (note,) = [note for note in caught.value.__notes__ if "more failed" in note]
    assert "KeyError('second')" in note
    assert "OSError('third')" in note
    frames = [entry.name for entry in caught.traceback]
    assert frames[-1] == "fail"


def test_with_fail_fast_the_others_go_on() -> None:
    with Gate("value") as gate:
        with pytest.raises(ValueError):
            fetch_all([gate.task, failed(ValueError())])
        assert gate.task.running()
        gate.open()
        assert fetch(gate.task) == "value"


def test_without_fail_fast_all_errors_are_in_a_group() -> None:
    event = Event()

    def fail_late() -> None:
        event.wait()
        raise KeyError

    tasks: list[Task[object]] = [spawn(fail_late), failed(ValueError()), cancelled()]
    tasks.append(spawn(event.set))
    with pytest.raises(ExceptionGroup) as caught:
        fetch_all(tasks, fail_fast=False)
    kinds = [type(error) for error in caught.value.exceptions]
    assert kinds == [KeyError, ValueError, CancelledError]


def test_a_cancelled_one_raises_cancelled_error() -> None:
    with pytest.raises(CancelledError):
        fetch_all([done(), cancelled()])


def test_errors_that_are_raised_or_noted_are_observed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    for fail_fast in (True, False):
        with pytest.raises((ValueError, ExceptionGroup)):
            fetch_all([failed(ValueError(n)) for n in range(5)], fail_fast)
    gc.collect()
    fetch(spawn(int))
    assert reports == []


def test_fetch_all_nests() -> None:
    def count(depth: int) -> int:
        if depth == 0:
            return 1
        return sum(fetch_all([spawn(count, depth - 1) for _ in range(3)]))

    assert count(6) == 3**6


# --- as_completed ---------------------------------------------------------------------


def test_they_come_as_they_end() -> None:
    with Gate("slow") as slow:
        quick = [spawn(int, n) for n in range(10)]
        ended = as_completed([slow.task, *quick])
        assert iter(ended) is ended
        first = [next(ended) for _ in quick]
        assert set(first) == set(quick)
        slow.open()
        assert list(ended) == [slow.task]
        assert list(ended) == []


def test_tasks_may_be_added_on_the_way() -> None:
    ended = as_completed([spawn(int, 3)])
    values = []
    for task in ended:
        values.append(fetch(task))
        if values[-1]:
            ended.add(spawn(int, values[-1] - 1))
    assert values == [3, 2, 1, 0]


def test_each_is_dropped_as_it_is_yielded() -> None:
    class Value:
        pass

    alive = []

    def make() -> Value:
        value = Value()
        alive.append(weakref.ref(value))
        return value

    with Gate() as gate:
        ended = as_completed([spawn(make), spawn(make), gate.task])
        for _ in range(2):
            next(ended)
        gc.collect()
        until(lambda: gc.collect() is not None and not any(ref() for ref in alive))


def test_the_timeout_is_for_all_of_it() -> None:
    with Gate() as gate:
        ended = as_completed([spawn(int), gate.task], timeout=0.05)
        with pytest.raises(TimeoutError, match="1 tasks"):
            for task in ended:
                assert fetch(task) == 0
        with pytest.raises(TimeoutError):
            next(as_completed([gate.task], timeout=0))
        assert next(as_completed([done(5)], timeout=0)).result() == 5


def test_an_iteration_that_is_broken_off_leaves_nothing() -> None:
    with Gate() as gate:
        for _ in range(100):
            for _task in as_completed([gate.task, spawn(int)]):
                break
        gc.collect()
        assert waiters_of(gate.task) == 0


def test_an_iteration_in_a_cycle_is_collected_and_leaves_nothing() -> None:
    task: Task[list[object]] = spawn(list)
    with Gate() as gate:
        ended = as_completed([task, gate.task])
        fetch(task).append(ended)
        dropped = weakref.ref(ended)
        del task, ended
        until(lambda: gc.collect() is not None and dropped() is None)
        assert waiters_of(gate.task) == 0


def test_it_is_an_iterator_and_generic() -> None:
    task = done()
    ended = as_completed[object]([task])
    assert isinstance(ended, Iterator)
    assert isinstance(ended, as_completed)
    assert next(ended, None) is task
    assert next(ended, None) is None


def test_one_named_twice_comes_once() -> None:
    task = done()
    assert list(as_completed([task, task])) == [task]


def test_a_step_can_be_cancelled() -> None:
    with Gate() as gate:
        ended = as_completed([gate.task])
        with move_on_after(SOON) as scope:
            next(ended)
        assert scope.cancelled_caught
        gate.open()
        assert next(ended) is gate.task


def list_of_completed(tasks: list[Task[object]]) -> object:
    return list(as_completed(tasks))


@pytest.mark.parametrize("wait_for", [fetch_all, wait_all, wait_any, list_of_completed])
def test_a_plain_thread_runs_what_is_pinned_to_it(
    wait_for: Callable[..., object],
) -> None:
    ran = []

    def work() -> None:
        here = Spawner(pinned=True)
        tasks = [here(ran.append, threading.get_ident()) for _ in range(3)]
        wait_for(tasks)
        wait_all(tasks)
        assert ran == [threading.get_ident()] * 3

    in_thread(work)
