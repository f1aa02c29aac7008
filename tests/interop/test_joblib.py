"""taskrt.interop.joblib: batches of Parallel as tasks of the one pool."""

from __future__ import annotations

import contextvars
import gc
import multiprocessing
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.gauge import Gauge
from support.interleaving import interleave
from support.places import Place, in_task, in_thread, on_main

import taskrt
from taskrt import AtomicInt, Event, TaskGroup, move_on_after, spawn
from taskrt.interop.joblib import register

joblib = pytest.importorskip("joblib", reason="joblib is not installed")
from joblib import Parallel, delayed, parallel_config  # noqa: E402

pytestmark = pytest.mark.usefixtures("joblib_backend")

every_place = pytest.mark.parametrize("place", [on_main, in_task, in_thread])


def parallel(**options: Any) -> Any:
    return Parallel(**{"n_jobs": 2, "backend": "taskrt"} | options)


def square(n: int) -> int:
    return n * n


def squares(count: int) -> Iterator[Any]:
    return (delayed(square)(n) for n in range(count))


@every_place
@pytest.mark.parametrize("batch_size", ["auto", 1, 7])
@pytest.mark.parametrize("pre_dispatch", ["2*n_jobs", 1, "all"])
def test_results_come_in_order(
    place: Place, batch_size: Any, pre_dispatch: Any
) -> None:
    def body() -> None:
        run = parallel(batch_size=batch_size, pre_dispatch=pre_dispatch)
        assert run(squares(200)) == [n * n for n in range(200)]
        assert run(squares(0)) == []
        assert run(squares(1)) == [0]

    place(body)


@every_place
def test_generator_gives_results_in_order(place: Place) -> None:
    def body() -> None:
        results = parallel(return_as="generator")(squares(50))
        assert next(results) == 0
        assert list(results) == [n * n for n in range(1, 50)]

    place(body)


@every_place
def test_unordered_generator_gives_first_what_ends_first(place: Place) -> None:
    def body() -> None:
        last = Event()

        def work(n: int) -> int:
            if n == 0:
                last.wait()
            return n

        run = parallel(return_as="generator_unordered", batch_size=1)
        results = run(delayed(work)(n) for n in range(20))
        first = [next(results) for _ in range(19)]
        assert sorted(first) == list(range(1, 20))
        last.set()
        assert list(results) == [0]
        # The same object is in order again where it is asked to be.
        assert sorted(run(delayed(square)(n) for n in range(3))) == [0, 1, 4]

    place(body)


@every_place
def test_calls_may_nest(place: Place) -> None:
    def tree(depth: int) -> int:
        if depth == 0:
            return 1
        return sum(Parallel(n_jobs=2)(delayed(tree)(depth - 1) for _ in range(3)))

    def body() -> None:
        threads = threading.active_count()
        with parallel_config("taskrt"):
            assert tree(4) == 81
        assert threading.active_count() <= threads + taskrt.num_threads()

    place(body)


def test_calls_in_tasks_of_a_batch_use_the_same_backend() -> None:
    def inner(n: int) -> tuple[str, int]:
        run = Parallel(n_jobs=2)
        return type(run._backend).__name__, sum(run(squares(n)))

    def outer(n: int) -> list[tuple[str, int]]:
        tasks = [spawn(inner, n) for _ in range(2)]
        return [task.result() for task in tasks]

    found = parallel()(delayed(outer)(n) for n in range(4))
    assert found == [2 * [("TaskBackend", s)] for s in (0, 0, 1, 5)]


def test_no_more_calls_run_than_asked_for() -> None:
    before = taskrt.num_threads()
    taskrt.set_num_threads(max(before, 4))
    gauge = Gauge()
    try:
        parallel(pre_dispatch="all")(delayed(gauge.work)() for _ in range(40))
        assert gauge.most <= 2
        parallel(n_jobs=-1)(delayed(gauge.work)() for _ in range(20))
        assert gauge.calls == 60
    finally:
        taskrt.set_num_threads(before)


def test_two_calls_run_at_a_time() -> None:
    both = threading.Barrier(2)
    parallel(batch_size=1)(delayed(both.wait)(60) for _ in range(2))


def test_number_of_jobs_is_no_more_than_the_threads() -> None:
    threads = taskrt.num_threads()
    with parallel_config("taskrt"):
        assert joblib.effective_n_jobs(-1) == threads
        assert joblib.effective_n_jobs(-2) == max(threads - 1, 1)
        assert joblib.effective_n_jobs(1) == 1
        assert joblib.effective_n_jobs(None) == 1
        assert joblib.effective_n_jobs(2) == 2
        assert joblib.effective_n_jobs(1000) == threads
        with pytest.raises(ValueError, match="n_jobs == 0"):
            joblib.effective_n_jobs(0)


def test_one_job_runs_here() -> None:
    place = taskrt.current_task, threading.get_ident
    here = [fn() for fn in place]
    found = parallel(n_jobs=1)(delayed(fn)() for fn in place)
    assert found == here


@every_place
def test_first_error_is_raised_and_ends_the_call(place: Place) -> None:
    gauge = Gauge()

    def fail(n: int) -> None:
        gauge.work()
        if n == 5:
            raise KeyError(n)

    def body() -> None:
        run = parallel(batch_size=1)
        with pytest.raises(KeyError) as caught:
            run(delayed(fail)(n) for n in range(100_000))
        assert "fail" in [
            f.name for f in traceback.extract_tb(caught.value.__traceback__)
        ]
        assert gauge.now == 0  # nothing of it runs any more
        assert gauge.calls < 100_000
        assert run(squares(10)) == [n * n for n in range(10)]

    place(body)


def test_error_ends_the_wait_for_a_call_that_waits() -> None:
    def work(n: int) -> None:
        if n == 1:
            raise KeyError(n)
        Event().wait()  # until cancelled

    with pytest.raises(KeyError):
        parallel(batch_size=1)(delayed(work)(n) for n in range(4))


@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_error_of_the_input_is_raised(return_as: str) -> None:
    def items() -> Iterator[Any]:
        yield from squares(30)
        raise KeyError("input")

    with pytest.raises(KeyError, match="input"):
        list(parallel(return_as=return_as)(items()))


def test_errors_leave_no_cycles() -> None:
    class Canary:
        pass

    alive = []

    def fail() -> None:
        canary = Canary()
        alive.append(weakref.ref(canary))
        raise KeyError(canary)

    with pytest.raises(KeyError):
        parallel()(delayed(fail)() for _ in range(4))
    gc.collect()
    assert [ref() for ref in alive] == [None] * len(alive)


@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_call_that_takes_too_long_times_out(return_as: str) -> None:
    run = parallel(return_as=return_as, timeout=0.01, batch_size=1)
    with pytest.raises(multiprocessing.TimeoutError):
        list(run(delayed(Event().wait)() for _ in range(4)))


@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_timeout_is_met_even_if_the_waiting_thread_was_busy(return_as: str) -> None:
    both = threading.Barrier(2)

    def work() -> None:
        both.wait(60)  # one of them on this thread
        time.sleep(0.05)

    run = parallel(return_as=return_as, timeout=0.01, batch_size=1)
    with pytest.raises(multiprocessing.TimeoutError):
        list(run(delayed(work)() for _ in range(2)))


def test_what_is_in_time_does_not_time_out() -> None:
    assert parallel(timeout=60)(squares(30)) == [n * n for n in range(30)]


def test_dropped_generator_cancels_what_has_not_run() -> None:
    ran = AtomicInt()

    def work(n: int) -> int:
        ran.fetch_add()
        if n:
            Event().wait()  # until cancelled
        return n

    results = parallel(return_as="generator", batch_size=1)(
        delayed(work)(n) for n in range(100)
    )
    assert next(results) == 0
    with pytest.warns(UserWarning, match="have been cancelled"):
        results = None
    assert int(ran) <= 4


@every_place
def test_cancelled_caller_cancels_its_batches(place: Place) -> None:
    def body() -> None:
        gauge = Gauge()

        def work() -> None:
            gauge.stay(Event().wait)

        with move_on_after(0.01) as scope:
            parallel(batch_size=1)(delayed(work)() for _ in range(10))
        assert scope.cancelled_caught
        assert gauge.now == 0

    place(body)


@every_place
def test_input_may_wait_and_come_from_another_call(place: Place) -> None:
    def body() -> None:
        def slow(n: int) -> int:
            taskrt.sleep(0.0001)
            return n + 1

        first = parallel(return_as="generator", batch_size=1)(
            delayed(slow)(n) for n in range(60)
        )
        second = parallel(return_as="generator", batch_size=1)(
            delayed(slow)(n) for n in first
        )
        assert parallel(batch_size=1)(delayed(square)(n) for n in second) == [
            (n + 2) ** 2 for n in range(60)
        ]

    place(body)


def test_one_object_serves_many_calls() -> None:
    with parallel() as run:
        for count in range(20):
            assert run(squares(count)) == [n * n for n in range(count)]


def test_calls_of_many_threads_share_one_configuration() -> None:
    with parallel_config("taskrt", n_jobs=2):
        with TaskGroup() as group:
            for _ in range(20):
                group.spawn(lambda: Parallel(batch_size=1)(squares(30)))
        assert group.results == 20 * [[n * n for n in range(30)]]


variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def test_batches_see_the_context_of_the_call_and_not_of_each_other() -> None:
    def work() -> int:
        before = variable.get()
        variable.set(before + 1)
        return before

    token = variable.set(7)
    try:
        assert parallel(batch_size=1)(delayed(work)() for _ in range(30)) == [7] * 30
        assert variable.get() == 7
    finally:
        variable.reset(token)


def backend_name() -> str:
    return type(joblib.parallel.get_active_backend()[0]).__name__


def test_configuration_belongs_to_a_task() -> None:
    outside = backend_name()
    found = []

    def first(step: Callable[[], None]) -> None:
        with parallel_config("threading"):
            step()
            found.append(backend_name())

    def second(step: Callable[[], None]) -> None:
        found.append(backend_name())
        with parallel_config("multiprocessing"):
            step()
            found.append(backend_name())
        found.append(backend_name())

    interleave(first, second)
    assert found == [outside, "ThreadingBackend", "MultiprocessingBackend", outside]
    assert backend_name() == outside


def test_tasks_inherit_no_backend_that_one_thread_may_use() -> None:
    with parallel_config("threading"):
        assert spawn(backend_name).result() != "ThreadingBackend"
        assert backend_name() == "ThreadingBackend"
    with parallel_config("taskrt"):
        assert spawn(backend_name).result() == "TaskBackend"
        assert taskrt.run_blocking(backend_name) == "TaskBackend"
    assert taskrt.run_blocking(backend_name) == backend_name()


def test_memory_is_shared_by_batches(tmp_path: Path) -> None:
    memory = joblib.Memory(tmp_path, verbose=0)
    cached = memory.cache(square)
    for _ in range(2):
        found = parallel()(delayed(cached)(n % 3) for n in range(12))
        assert found == [n % 3 * (n % 3) for n in range(12)]


def test_register_may_be_called_again() -> None:
    register()
    register()
    assert parallel()(squares(5)) == [0, 1, 4, 9, 16]


def test_shared_memory_is_what_it_has() -> None:
    items = [0] * 10

    def put(n: int) -> None:
        items[n] = n

    with parallel_config("taskrt", n_jobs=2):
        Parallel(require="sharedmem")(delayed(put)(n) for n in range(10))
        Parallel(prefer="processes")(delayed(put)(n) for n in range(10))
    assert items == list(range(10))
