"""`run_blocking`: calls on threads outside of the pool; only the task waits."""

from __future__ import annotations

import contextvars
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.crowd import crowd
from support.gates import until, until_suspended
from support.places import Place

import taskrt
from taskrt import blocking_calls, fetch, run_blocking, runtime, spawn

MakePool = Callable[[int], blocking_calls._Pool]


@pytest.fixture
def make_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePool]:
    """Give what makes all calls go to a new pool of so many threads at most."""
    made: list[blocking_calls._Pool] = []

    def make(most: int) -> blocking_calls._Pool:
        pool = blocking_calls._Pool()
        pool._hooked = True
        pool._most = most
        monkeypatch.setattr(blocking_calls, "_pool", pool)
        made.append(pool)
        return pool

    yield make
    until(lambda: all(pool.close(False) for pool in made))
    until(lambda: taskrt.stats()["blocking"] == 0)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """Give the errors that are reported to `sys.unraisablehook`."""
    caught: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args[1]))
    return caught


def helpers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if isinstance(t, runtime.HelperThread)]


def without_collections(body: Callable[[], object]) -> None:
    gc.disable()
    try:
        body()
    finally:
        gc.enable()


def until_dead(*refs: weakref.ref[Any]) -> None:
    """Wait until nothing refers to them; a thread lets go after the waiter was told."""

    def are_dead() -> bool:
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            # Counts of another thread's references are settled by that, which sleeps.
            gc.collect()
        return not any(ref() for ref in refs)

    until(are_dead)


# --- what comes back ------------------------------------------------------------------


def test_result_of_positional_and_keyword_arguments(run: Place) -> None:
    def call(*args: object, **kwargs: object) -> object:
        return args, kwargs

    def body() -> None:
        assert run_blocking(call) == ((), {})
        assert run_blocking(call, 1, fn=2, self=3) == ((1,), {"fn": 2, "self": 3})

    run(body)


@pytest.mark.parametrize(
    "kind", [ValueError, KeyboardInterrupt, SystemExit, taskrt.CancelledError]
)
def test_error_is_the_same_object(run: Place, kind: type[BaseException]) -> None:
    error = kind("mine")

    def fail() -> None:
        raise error

    def body() -> None:
        with pytest.raises(kind) as caught:
            run_blocking(fail)
        assert caught.value is error
        names = [entry.name for entry in caught.traceback]
        assert names[-1] == "fail"
        assert "run_blocking" in names

    run(body)


def test_no_callable_is_a_type_error() -> None:
    call: Any = run_blocking
    with pytest.raises(TypeError, match=r"run_blocking\(\) takes a callable.*'int'"):
        call(1)
    with pytest.raises(TypeError):
        call()
    assert taskrt.stats()["blocking"] == 0


def test_it_runs_on_another_thread_in_no_task(run: Place) -> None:
    def look() -> tuple[int, object, int]:
        return threading.get_ident(), taskrt.current_task(), taskrt.thread_id()

    def body() -> None:
        ident, task, number = run_blocking(look)
        assert ident != threading.get_ident()
        assert task is None
        assert number == -1

    run(body)


def test_the_call_sees_a_copy_of_the_context(run: Place) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    def change() -> str:
        before = variable.get()
        variable.set("by the call")
        return before

    def body() -> None:
        assert run_blocking(variable.get) == "unset"
        variable.set("by the caller")
        assert run_blocking(change) == "by the caller"
        assert variable.get() == "by the caller"

    run(lambda: contextvars.copy_context().run(body))


def test_nothing_keeps_the_result_and_the_arguments(run: Place) -> None:
    class Thing:
        pass

    def body() -> None:
        argument = Thing()
        result = run_blocking(lambda _: Thing(), argument)
        alive = [weakref.ref(argument), weakref.ref(result)]
        del argument, result
        until_dead(*alive)

    without_collections(lambda: run(body))


def test_nothing_keeps_an_error_alive() -> None:
    class Failure(Exception):
        pass

    def fail() -> None:
        raise Failure

    def body() -> None:
        try:
            run_blocking(fail)
        except Failure as error:
            ref = weakref.ref(error)
        until_dead(ref)

    without_collections(body)


# --- only the task waits --------------------------------------------------------------


def test_other_tasks_run_meanwhile(threads: int) -> None:
    event = threading.Event()
    waiting = spawn(run_blocking, event.wait)
    until_suspended(waiting)
    spawn(event.set)
    assert fetch(waiting)


def test_main_runs_tasks_meanwhile(set_num_threads: Callable[[int], object]) -> None:
    set_num_threads(1)
    event = threading.Event()
    spawn(event.set)
    assert run_blocking(event.wait)


def test_many_calls_block_at_once(threads: int) -> None:
    together = threading.Barrier(20)
    tasks = [spawn(run_blocking, together.wait) for _ in range(20)]
    assert sorted(taskrt.fetch_all(tasks)) == list(range(20))


def test_a_call_makes_calls(run: Place) -> None:
    def nest(depth: int) -> int:
        return 1 + run_blocking(nest, depth - 1) if depth else 0

    run(lambda: fetch(spawn(int)) or None)
    run(lambda: None if run_blocking(nest, 10) == 10 else pytest.fail("lost"))


def test_a_call_uses_tasks(threads: int, run: Place) -> None:
    def work() -> int:
        return sum(taskrt.fetch_all([spawn(pow, n, 2) for n in range(10)]))

    def body() -> None:
        assert run_blocking(work) == 285

    run(body)


def test_what_a_call_leaves_is_run_by_others(threads: int) -> None:
    """Though its thread stays, idle, and is no worker."""
    task = run_blocking(spawn, int)
    until(task.done)
    assert task.result() == 0


def test_what_a_call_leaves_pinned_is_lost() -> None:
    task = run_blocking(taskrt.Spawner(pinned=True), int)
    with pytest.raises(taskrt.TaskLostError):
        fetch(task)


def test_tasks_and_threads_and_main_at_once(threads: int) -> None:
    results: list[int] = []

    def work(i: int) -> None:
        for k in range(20):
            results.append(run_blocking(lambda n: n, 100 * i + k))

    count = crowd(work, tasks=10, threads=5)
    assert sorted(results) == [100 * i + k for i in range(count) for k in range(20)]


def test_stats_count_calls_that_have_not_ended(make_pool: MakePool) -> None:
    make_pool(1)
    event = threading.Event()
    tasks = [spawn(run_blocking, event.wait) for _ in range(3)]
    until_suspended(*tasks)
    assert taskrt.stats()["blocking"] == 3
    event.set()
    taskrt.wait(*tasks)
    until(lambda: taskrt.stats()["blocking"] == 0)


# --- threads, and how many ------------------------------------------------------------


def test_calls_one_after_another_use_one_thread(make_pool: MakePool) -> None:
    make_pool(8)
    assert len({run_blocking(threading.get_ident) for _ in range(100)}) == 1


def test_no_more_calls_than_allowed_run_at_once(
    make_pool: MakePool, threads: int
) -> None:
    make_pool(3)
    lock = threading.Lock()
    running = most = 0

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.0005)
        with lock:
            running -= 1

    taskrt.fetch_all([spawn(run_blocking, call) for _ in range(60)])
    assert most == 3


def test_queued_calls_start_in_their_order(make_pool: MakePool) -> None:
    make_pool(1)
    event = threading.Event()
    started: list[int] = []
    tasks: list[taskrt.Task[Any]] = [spawn(run_blocking, event.wait)]
    for i in range(50):
        until_suspended(*tasks)
        tasks.append(spawn(run_blocking, started.append, i))
    until_suspended(*tasks)
    event.set()
    taskrt.wait(*tasks)
    assert started == list(range(50))


def test_idle_threads_end(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_calls, "IDLE_S", 0.001)
    pool = make_pool(8)
    before = len(helpers())
    for _ in range(20):
        together = threading.Barrier(4)
        taskrt.fetch_all([spawn(run_blocking, together.wait) for _ in range(4)])
    until(lambda: pool._count == 0)
    until(lambda: len(helpers()) == before)
    assert run_blocking(int) == 0


def test_threads_that_come_and_go_lose_no_call(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls arrive when the thread is just giving up."""
    monkeypatch.setattr(blocking_calls, "IDLE_S", 0.0002)
    make_pool(2)
    for i in range(300):
        assert run_blocking(int, i) == i
        time.sleep(0.0002)


def test_without_a_thread_it_raises(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    make_pool(4)
    with monkeypatch.context() as patch:
        patch.setattr(blocking_calls._Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start"):
            run_blocking(int)
        assert taskrt.stats()["blocking"] == 0
    assert run_blocking(int) == 0


def test_without_another_thread_it_uses_those_there_are(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    make_pool(4)
    event = threading.Event()
    first = spawn(run_blocking, event.wait)
    until_suspended(first)
    monkeypatch.setattr(blocking_calls._Thread, "start", start)
    second = spawn(run_blocking, int)
    until_suspended(second)
    event.set()
    assert fetch(second) == 0
    assert fetch(first)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_a_thread_starts(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    pool = make_pool(4)
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if when == "after":
            real(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(blocking_calls._Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            run_blocking(int)
    until(lambda: taskrt.stats()["blocking"] == 0)
    assert run_blocking(int) == 0
    assert pool._count <= 2


# --- cancellation ---------------------------------------------------------------------


def test_a_cancelled_task_does_not_begin_a_call() -> None:
    called: list[int] = []
    with taskrt.CancelScope() as scope:
        scope.cancel()
        run_blocking(called.append, 1)
    assert scope.cancelled_caught
    assert called == []


def test_a_call_that_has_started_goes_on_without_its_caller(
    run: Place, unraisable: list[BaseException | None]
) -> None:
    def body() -> None:
        may_end, ended = threading.Event(), threading.Event()

        def call() -> str:
            scope.deadline = time.monotonic() + 0.001
            may_end.wait()
            ended.set()
            return "dropped"

        with taskrt.CancelScope() as scope:
            run_blocking(call)
        assert scope.cancelled_caught
        assert not ended.is_set()
        assert taskrt.stats()["blocking"] == 1
        may_end.set()
        ended.wait()
        until(lambda: taskrt.stats()["blocking"] == 0)

    run(body)
    assert unraisable == []


def test_an_error_that_nobody_waits_for_is_reported(
    unraisable: list[BaseException | None],
) -> None:
    started, may_end = threading.Event(), threading.Event()
    error = ValueError("nobody's")

    def call() -> None:
        started.set()
        may_end.wait()
        raise error

    task = spawn(run_blocking, call)
    until(started.is_set)
    task.cancel()
    taskrt.wait(task)
    assert task.cancelled()
    may_end.set()
    until(lambda: unraisable)
    assert unraisable == [error]


def test_a_queued_call_without_its_caller_never_runs(make_pool: MakePool) -> None:
    make_pool(1)
    event = threading.Event()
    called: list[int] = []
    first = spawn(run_blocking, event.wait)
    until_suspended(first)
    others = [spawn(run_blocking, called.append, i) for i in range(10)]
    until_suspended(*others)
    for task in others[::2]:
        task.cancel()
    taskrt.wait(*others[::2])
    assert taskrt.stats()["blocking"] == 6
    event.set()
    taskrt.wait(first, *others)
    assert sorted(called) == [1, 3, 5, 7, 9]


def test_fail_after_a_call_that_takes_too_long() -> None:
    event = threading.Event()
    with pytest.raises(TimeoutError), taskrt.fail_after(0.001):
        run_blocking(event.wait)
    event.set()


@pytest.mark.parametrize("most", [1, 3])
def test_cancellation_at_any_moment(
    make_pool: MakePool, unraisable: list[BaseException | None], most: int
) -> None:
    """Every call either counts for its caller, or that was cancelled."""
    make_pool(most)

    def call(i: int) -> int:
        if i % 7 == 0:
            raise ValueError(i)
        return i

    tasks = []
    for i in range(300):
        tasks.append(spawn(run_blocking, call, i))
        if i % 3 == 0:
            tasks[i // 2].cancel()
        if i % 10 == 0:
            taskrt.yield_now()
    taskrt.wait(*tasks)
    for i, task in enumerate(tasks):
        if task.cancelled():
            continue
        error = task.exception()
        if i % 7 == 0:
            assert isinstance(error, ValueError)
        else:
            assert task.result() == i
    until(lambda: taskrt.stats()["blocking"] == 0)
    assert all(isinstance(error, ValueError) for error in unraisable)


# --- at large -------------------------------------------------------------------------


@pytest.mark.stress
@pytest.mark.parametrize("most", [1, 7, 256])
def test_ten_thousand_calls(make_pool: MakePool, threads: int, most: int) -> None:
    make_pool(most)
    tasks = [spawn(run_blocking, lambda n: n, n) for n in range(10_000)]
    assert sum(taskrt.fetch_all(tasks)) == sum(range(10_000))
