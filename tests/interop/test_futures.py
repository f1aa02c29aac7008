"""TaskExecutor: futures, and waits for them by concurrent.futures and asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import pickle
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    InvalidStateError,
    as_completed,
    wait,
)

import pytest
from support.gauge import Gauge
from support.held import Held

import taskrt
from taskrt import TaskLocal, fetch, spawn
from taskrt.interop.futures import TaskExecutor


def fail(error: BaseException) -> None:
    raise error


def test_a_future_is_one_of_concurrent_futures() -> None:
    with TaskExecutor() as executor:
        future = executor.submit(pow, 2, 10)
        assert isinstance(future, Future)
        assert isinstance(executor, concurrent.futures.Executor)
        assert future.result() == 1024
        assert future.done()
        assert not future.running()
        assert not future.cancelled()
        assert future.exception() is None
        assert future.result(timeout=0) == 1024


def test_arguments_are_passed_on_as_they_are() -> None:
    def call(*args: object, **kwargs: object) -> object:
        return args, kwargs

    with TaskExecutor() as executor:
        future = executor.submit(call, 1, self=2, fn=3)
        assert future.result() == ((1,), {"self": 2, "fn": 3})
        with pytest.raises(TypeError, match="callable"):
            executor.submit(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [ValueError("no"), KeyError(1), GeneratorExit()])
def test_an_error_is_raised_itself(error: BaseException) -> None:
    with TaskExecutor() as executor:
        future = executor.submit(fail, error)
        assert future.exception() is error
        with pytest.raises(type(error)) as info:
            future.result()
        assert info.value is error


def test_nobody_hears_of_an_error_that_nobody_asks_for() -> None:
    # Reports would go to sys.unraisablehook, which pytest makes an error of the test.
    with TaskExecutor() as executor:
        executor.submit(fail, ValueError("unasked"))
    gc.collect()


def test_a_wait_that_lasts_too_long_raises_TimeoutError() -> None:  # noqa: N802
    with TaskExecutor() as executor:
        held = Held(executor.submit)
        for timeout in (0, 0.001, -1):
            with pytest.raises(concurrent.futures.TimeoutError):
                held.outcome.result(timeout)
            with pytest.raises(TimeoutError):
                held.outcome.exception(timeout)
        assert wait([held.outcome], timeout=0.001).not_done == {held.outcome}
        held.may_end.set()
        assert held.outcome.result(60) == "ended"


def test_a_call_that_runs_cannot_be_cancelled() -> None:
    with TaskExecutor() as executor:
        held = Held(executor.submit)
        assert held.outcome.running()
        assert not held.outcome.cancel()
        assert not held.outcome.cancelled()
        held.may_end.set()
        assert held.outcome.result() == "ended"
        assert not held.outcome.cancel()


def test_a_call_that_has_not_begun_never_does_once_it_is_cancelled() -> None:
    called: list[int] = []
    told: list[Future[None]] = []
    with TaskExecutor(1) as executor:
        held = Held(executor.submit)
        future = executor.submit(called.append, 1)
        future.add_done_callback(told.append)
        assert not future.done()
        assert not future.running()
        assert future.cancel()
        assert future.cancel()
        assert future.cancelled()
        assert future.done()
        assert told == [future]
        assert not future.set_running_or_notify_cancel()
        for ask in (future.result, future.exception):
            with pytest.raises(concurrent.futures.CancelledError):
                ask()
        done, _ = wait([future, held.outcome], return_when=FIRST_COMPLETED)
        assert done == {future}
        held.may_end.set()
    assert called == []


def test_the_outcome_cannot_be_set_by_hand() -> None:
    with TaskExecutor() as executor:
        future = executor.submit(abs, -1)
        with pytest.raises(InvalidStateError, match="make a concurrent"):
            future.set_result(2)
        with pytest.raises(InvalidStateError):
            future.set_exception(ValueError())
        with pytest.raises(InvalidStateError):
            future.set_running_or_notify_cancel()
        assert future.result() == 1
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(future)


def test_a_repr_says_what_became_of_the_call() -> None:
    with TaskExecutor(1) as executor:
        held = Held(executor.submit)
        pending = executor.submit(abs, 1)
        assert "state=running" in repr(held.outcome)
        assert "state=pending" in repr(pending)
        pending.cancel()
        assert "state=cancelled" in repr(pending)
        held.may_end.set()
        held.outcome.result()
        assert "state=finished returned str" in repr(held.outcome)
        failed = executor.submit(fail, ValueError())
        failed.exception()
        assert "state=finished raised ValueError" in repr(failed)


def test_callbacks_are_called_once_and_in_order() -> None:
    order: list[tuple[int, object]] = []
    with TaskExecutor() as executor:
        held = Held(executor.submit)
        for number in range(5):
            held.outcome.add_done_callback(lambda f, n=number: order.append((n, f)))
        held.may_end.set()
    # A shutdown waits for callbacks too.
    assert order == [(number, held.outcome) for number in range(5)]
    held.outcome.add_done_callback(lambda f: order.append((5, f)))
    assert order[-1] == (5, held.outcome)


def test_a_callback_that_raises_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[object] = []
    with (
        caplog.at_level(logging.ERROR, "concurrent.futures"),
        TaskExecutor() as executor,
    ):
        held = Held(executor.submit)
        held.outcome.add_done_callback(lambda _: fail(ValueError("callback")))
        held.outcome.add_done_callback(called.append)
        held.may_end.set()
    assert "exception calling callback" in caplog.text
    assert called == [held.outcome]


@pytest.mark.parametrize("how", [FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED])
def test_wait_returns_when_it_should(how: str) -> None:
    with TaskExecutor() as executor:
        good = executor.submit(abs, -1)
        good.result()
        bad = executor.submit(fail, ValueError())
        done, not_done = wait([good, bad, good], return_when=how)
        assert good in done
        assert done | not_done == {good, bad}
        if how != FIRST_COMPLETED:
            assert done == {good, bad}


def test_a_wait_among_futures_of_several_executors() -> None:
    with (
        TaskExecutor() as ours,
        concurrent.futures.ThreadPoolExecutor(2) as theirs,
    ):
        futures: list[Future[int]] = []
        for number in range(20):
            executor: concurrent.futures.Executor = ours if number % 2 else theirs
            futures.append(executor.submit(pow, number, 2))
        assert {f.result() for f in as_completed(futures)} == {
            number**2 for number in range(20)
        }
        assert wait(futures).not_done == set()


def test_as_completed_yields_each_future_once() -> None:
    with TaskExecutor() as executor:
        for _ in range(20):
            futures = [executor.submit(pow, n, 2) for n in range(30)]
            found = list(as_completed(futures))
            assert len(found) == 30
            assert set(found) == set(futures)


def test_waits_within_tasks_let_others_run() -> None:
    """With one place, what is waited for runs while the one that waits holds none."""

    def wait_inside() -> int:
        futures = [executor.submit(pow, n, 2) for n in range(5)]
        done, _ = wait(futures)
        return sum(future.result() for future in done)

    def take_inside() -> int:
        futures = [executor.submit(pow, n, 2) for n in range(5)]
        return sum(future.result() for future in as_completed(futures))

    with TaskExecutor(1) as executor:
        for fn in (wait_inside, take_inside):
            futures = [executor.submit(fn) for _ in range(10)]
            assert [future.result() for future in futures] == [30] * 10


@pytest.mark.parametrize("max_workers", [None, 1, 2])
def test_calls_wait_for_calls_to_any_depth(max_workers: int | None) -> None:
    def nest(depth: int) -> int:
        if depth == 0:
            return 0
        return 1 + executor.submit(nest, depth - 1).result()

    with TaskExecutor(max_workers) as executor:
        assert executor.submit(nest, 1000).result() == 1000


def test_no_more_calls_run_at_once_than_there_may() -> None:
    gauge = Gauge()
    with TaskExecutor(1) as executor:
        for _ in range(200):
            executor.submit(gauge.work, 0)
    assert gauge.calls == 200
    assert gauge.most == 1


def test_an_executor_is_within_the_limit_around_it() -> None:
    gauge = Gauge()
    with taskrt.limit(1):
        executors = [TaskExecutor(2), TaskExecutor()]
        for _ in range(100):
            for executor in executors:
                executor.submit(gauge.work, 0)
        for executor in executors:
            executor.shutdown()
    assert gauge.most == 1


def test_calls_are_tasks_with_a_copy_of_the_context() -> None:
    local = TaskLocal[list[int]](list)

    def look() -> int:
        local.get().append(1)
        assert taskrt.current_task() is not None
        return len(local.get())

    with TaskExecutor(thread_name_prefix="mine") as executor:
        assert [executor.submit(look).result() for _ in range(5)] == [1] * 5
        task = executor.submit(taskrt.current_task).result()
        assert task is not None
        assert task.name == "mine"


def test_run_in_executor_and_wrap_future() -> None:
    async def main(executor: TaskExecutor) -> list[object]:
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(
            *[loop.run_in_executor(executor, pow, n, 2) for n in range(20)]
        )
        wrapped = asyncio.wrap_future(executor.submit(abs, -7))
        with pytest.raises(ValueError, match="wrapped"):
            await asyncio.wrap_future(executor.submit(fail, ValueError("wrapped")))
        return [*found, await wrapped]

    with TaskExecutor() as executor:
        assert asyncio.run(main(executor)) == [*[n * n for n in range(20)], 7]


def test_a_cancelled_wrapper_cancels_a_call_that_has_not_begun() -> None:
    async def main(executor: TaskExecutor) -> None:
        held = Held(executor.submit)
        future = executor.submit(abs, 1)
        wrapped = asyncio.wrap_future(future)
        wrapped.cancel()
        await asyncio.sleep(0)
        assert future.cancelled()
        held.may_end.set()

    with TaskExecutor(1) as executor:
        asyncio.run(main(executor))


def test_a_task_that_waits_for_a_future_can_be_cancelled() -> None:
    waits = threading.Event()

    def wait_for(future: Future[str]) -> str:
        waits.set()
        return future.result()

    with TaskExecutor() as executor:
        held = Held(executor.submit)
        task = spawn(wait_for, held.outcome)
        threading.Thread(target=lambda: waits.wait(60) and task.cancel()).start()
        with pytest.raises(taskrt.CancelledError):
            fetch(task)
        assert not held.outcome.done()
        held.may_end.set()
        assert held.outcome.result() == "ended"


def test_an_executor_that_is_dropped_runs_what_it_has() -> None:
    executor = TaskExecutor(1)
    held = Held(executor.submit)
    after = executor.submit(abs, -1)
    gone = weakref.ref(executor)
    del executor
    gc.collect()
    assert gone() is None
    held.may_end.set()
    assert after.result() == 1


@pytest.mark.parametrize("make", [lambda: TaskExecutor(), lambda: TaskExecutor(2)])
def test_many_threads_submit_at_once(make: Callable[[], TaskExecutor]) -> None:
    sums: list[int] = []

    def submit_some() -> None:
        futures = [executor.submit(pow, n, 2) for n in range(200)]
        sums.append(sum(future.result() for future in futures))

    with make() as executor:
        threads = [threading.Thread(target=submit_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sums == [sum(n * n for n in range(200))] * 4
