"""TaskExecutor: its arguments, initializers, and its shutdown."""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, CancelledError
from concurrent.futures.thread import BrokenThreadPool

import pytest

import taskrt
from taskrt.interop.futures import TaskExecutor


@pytest.mark.parametrize("max_workers", [0, -1])
def test_max_workers_is_positive(max_workers: int) -> None:
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        TaskExecutor(max_workers)


def test_an_initializer_is_a_callable() -> None:
    with pytest.raises(TypeError, match="initializer must be a callable"):
        TaskExecutor(initializer=3)  # type: ignore[arg-type]


def test_positional_arguments_are_those_of_a_thread_pool() -> None:
    called: list[int] = []
    with TaskExecutor(2, "prefix", called.append, (7,)) as executor:
        assert executor.submit(abs, -1).result() == 1
    assert set(called) == {7}


def test_an_initializer_runs_once_in_each_thread() -> None:
    initialized: list[int] = []
    here = threading.local()

    def initialize(value: str) -> None:
        taskrt.sleep(0)  # others of this thread may come meanwhile
        initialized.append(threading.get_ident())
        here.value = value

    def call(_: int) -> tuple[int, str]:
        return threading.get_ident(), here.value

    with TaskExecutor(initializer=initialize, initargs=("ready",)) as executor:
        futures = [executor.submit(call, n) for n in range(100)]
        found = [future.result() for future in futures]
        found += executor.map(call, range(1000))
    assert {value for _, value in found} == {"ready"}
    assert len(initialized) == len(set(initialized))
    assert {ident for ident, _ in found} == set(initialized)


def test_an_initializer_that_fails_breaks_the_executor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def initialize() -> None:
        raise ValueError("not here")

    with TaskExecutor(initializer=initialize) as executor:
        with pytest.raises(BrokenThreadPool, match="initializer failed"):
            executor.submit(abs, 1).result()
        with pytest.raises(BrokenExecutor):
            executor.submit(abs, 1)
        with pytest.raises(BrokenExecutor):
            executor.map(abs, [1])
    assert "Exception in initializer" in caplog.text
    assert "not here" in caplog.text


def test_nothing_is_submitted_after_a_shutdown() -> None:
    executor = TaskExecutor()
    future = executor.submit(abs, -1)
    executor.shutdown()
    executor.shutdown()
    assert future.done()
    with pytest.raises(
        RuntimeError, match="cannot schedule new futures after shutdown"
    ):
        executor.submit(abs, 1)


def test_an_executor_that_was_never_used_is_shut_down() -> None:
    with TaskExecutor(3):
        pass


@pytest.mark.parametrize("max_workers", [None, 1, 2])
def test_a_shutdown_waits_for_all_calls(max_workers: int | None) -> None:
    ended: list[int] = []

    def call(number: int) -> None:
        taskrt.sleep(0)
        ended.append(number)

    with TaskExecutor(max_workers) as executor:
        for number in range(200):
            executor.submit(call, number)
    assert sorted(ended) == list(range(200))


def test_a_shutdown_cancels_what_has_not_begun_if_it_is_to() -> None:
    executor = TaskExecutor(1)
    begun, may_end = threading.Event(), threading.Event()

    def call() -> str:
        begun.set()
        assert may_end.wait(60)
        return "ended"

    runs = executor.submit(call)
    assert begun.wait(60)
    pending = [executor.submit(abs, n) for n in range(50)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    assert not runs.done()
    may_end.set()
    executor.shutdown()
    assert runs.result() == "ended"
    with pytest.raises(CancelledError):
        pending[0].result()


def test_a_call_may_submit_until_the_shutdown_has_begun() -> None:
    closed = threading.Event()
    refusals: list[BaseException] = []
    begun = threading.Event()

    def call() -> None:
        begun.set()
        assert closed.wait(60)
        try:
            executor.submit(abs, 1)
        except RuntimeError as error:
            refusals.append(error)

    executor = TaskExecutor()
    executor.submit(call)
    assert begun.wait(60)
    executor.shutdown(wait=False)
    closed.set()
    executor.shutdown()
    assert len(refusals) == 1


def test_two_threads_shut_it_down() -> None:
    for _ in range(20):
        executor = TaskExecutor()
        futures = [executor.submit(pow, n, 2) for n in range(20)]
        threads = [threading.Thread(target=executor.shutdown) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(future.done() for future in futures)


def test_no_task_is_left_over() -> None:
    with TaskExecutor() as executor:
        list(executor.map(abs, range(100)))
        executor.submit(abs, 1).result()
    assert executor._members.roster._living() == []
