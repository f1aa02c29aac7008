"""Pool: calls, results, callbacks and life, as multiprocessing.pool.ThreadPool."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest
from support.held import Held

import taskrt
from taskrt.interop.pool import AsyncResult, Pool


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool() as made:
        yield made
    made.join()


def fail(error: BaseException) -> None:
    raise error


def test_it_has_all_public_methods_of_a_thread_pool() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(ThreadPool) - public(Pool) == {"Process"}
    assert public(multiprocessing.pool.AsyncResult) <= public(AsyncResult)


def test_apply_returns_the_result_or_raises_the_error(pool: Pool) -> None:
    error = ValueError("no")
    assert pool.apply(pow, (2, 10)) == 1024
    assert pool.apply(int, ("11",), {"base": 2}) == 3
    assert pool.apply(int) == 0
    with pytest.raises(ValueError, match="no") as info:
        pool.apply(fail, (error,))
    assert info.value is error


def test_apply_async_has_a_result_later(pool: Pool) -> None:
    held = Held(pool.apply_async)
    assert not held.outcome.ready()
    with pytest.raises(ValueError, match="not ready"):
        held.outcome.successful()
    for timeout in (0, 0.001):
        with pytest.raises(multiprocessing.TimeoutError):
            held.outcome.get(timeout)
        held.outcome.wait(timeout)
    held.may_end.set()
    assert held.outcome.get(60) == "ended"
    assert held.outcome.get() == "ended"
    assert held.outcome.ready()
    assert held.outcome.successful()


def test_an_error_is_kept_for_whoever_asks(pool: Pool) -> None:
    error = ValueError("kept")
    result = pool.apply_async(fail, (error,))
    result.wait()
    assert result.ready()
    assert not result.successful()
    for _ in range(2):
        with pytest.raises(ValueError, match="kept") as info:
            result.get()
        assert info.value is error


def test_nobody_hears_of_an_error_that_nobody_asks_for() -> None:
    # Reports would go to sys.unraisablehook, which pytest makes an error of the test.
    with Pool() as pool:
        pool.apply_async(fail, (ValueError("unasked"),)).wait()
        pool.map_async(fail, [ValueError("unasked")]).wait()
    pool.join()
    gc.collect()


@pytest.mark.parametrize("which", ["apply", "map"])
def test_a_callback_is_called_before_the_result_is_there(
    pool: Pool, which: str
) -> None:
    told: list[tuple[str, object]] = []
    error = ValueError("told")
    callbacks: dict[str, Any] = {
        "callback": lambda value: told.append(("result", value)),
        "error_callback": lambda value: told.append(("error", value)),
    }
    if which == "apply":
        assert pool.apply_async(abs, (-1,), **callbacks).get() == 1
        failing: AsyncResult[Any] = pool.apply_async(fail, (error,), **callbacks)
    else:
        assert pool.map_async(abs, [-1], **callbacks).get() == [1]
        failing = pool.map_async(fail, [error], **callbacks)
    with pytest.raises(ValueError, match="told"):
        failing.get()
    assert told == [("result", 1 if which == "apply" else [1]), ("error", error)]


def test_a_callback_that_raises_is_reported_and_changes_nothing(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: reports.append(report))
    callback = lambda _: fail(KeyError("callback"))  # noqa: E731
    assert pool.apply_async(abs, (-1,), callback=callback).get() == 1
    assert [type(report.exc_value) for report in reports] == [KeyError]


def test_calls_use_the_pool_to_any_depth() -> None:
    def nest(depth: int) -> int:
        return 1 + pool.apply(nest, (depth - 1,)) if depth else 0

    def spread(depth: int) -> int:
        return sum(pool.map(spread, [depth - 1] * 3)) if depth else 1

    for processes in (None, 1, 2):
        with Pool(processes) as pool:
            assert pool.apply(nest, (1000,)) == 1000
            assert spread(4) == 81
            assert pool.apply(spread, (4,)) == 81


def test_no_more_calls_run_at_once_than_there_may() -> None:
    running: list[int] = []
    most: list[int] = []

    def call(_: int) -> None:
        running.append(1)
        most.append(len(running))
        running.pop()

    with Pool(1) as pool:
        pool.map(call, range(2000), chunksize=10)
        results = [pool.apply_async(call, (n,)) for n in range(100)]
        for result in results:
            result.wait()
    pool.join()
    assert len(most) == 2100
    assert max(most) == 1


def test_a_closed_pool_ends_what_it_has(pool: Pool) -> None:
    held = Held(pool.apply_async)
    mapped = pool.map_async(abs, range(-100, 0))
    lazy = pool.imap(abs, range(-100, 0))
    pool.close()
    pool.close()
    for call in (
        lambda: pool.apply(abs, (1,)),
        lambda: pool.apply_async(abs, (1,)),
        lambda: pool.map(abs, [1]),
        lambda: pool.starmap_async(pow, [(1, 2)]),
        lambda: pool.imap(abs, [1]),
        lambda: pool.imap_unordered(abs, [1]),
        pool.__enter__,
    ):
        with pytest.raises(ValueError, match="Pool not running"):
            call()
    held.may_end.set()
    pool.join()
    assert held.outcome.ready()
    assert mapped.get() == list(range(100, 0, -1))
    assert list(lazy) == list(range(100, 0, -1))


def test_a_running_pool_cannot_be_joined(pool: Pool) -> None:
    with pytest.raises(ValueError, match="Pool is still running"):
        pool.join()


def test_a_terminated_pool_begins_no_call() -> None:
    called: list[int] = []
    pool = Pool(1)
    held = Held(pool.apply_async)
    results: list[AsyncResult[Any]] = [
        pool.apply_async(called.append, (1,)),
        pool.map_async(called.append, range(100)),
    ]
    lazy = pool.imap(called.append, range(100))
    pool.terminate()
    assert not held.outcome.ready()
    held.may_end.set()
    pool.join()
    assert held.outcome.get() == "ended"
    for result in results:
        with pytest.raises(taskrt.CancelledError):
            result.get(60)
    with pytest.raises(taskrt.CancelledError):
        next(lazy)
    assert called == []
    pool.terminate()


def test_leaving_the_block_terminates() -> None:
    with Pool(1) as pool:
        held = Held(pool.apply_async)
        pending = pool.apply_async(abs, (1,))
    held.may_end.set()
    pool.join()
    with pytest.raises(taskrt.CancelledError):
        pending.get()


def test_a_repr_says_the_state_and_the_size() -> None:
    pool = Pool(3)
    assert repr(pool) == "<taskrt.interop.pool.Pool state=RUN pool_size=3>"
    pool.close()
    assert "state=CLOSE" in repr(pool)
    pool.terminate()
    assert "state=TERMINATE" in repr(pool)


def test_a_pool_cannot_be_pickled(pool: Pool) -> None:
    with pytest.raises(NotImplementedError, match="pool objects cannot be passed"):
        pickle.dumps(pool)


def test_a_pool_that_is_left_open_warns() -> None:
    pools = [Pool()]
    pools[0].apply(abs, (1,))
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool"):
        pools.clear()


def test_wrong_arguments_are_refused(pool: Pool) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Pool(0)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Pool(initializer=3)  # type: ignore[arg-type]
    for number in (0, -1, 1.5, "1"):
        with pytest.raises(ValueError, match="maxtasksperchild"):
            Pool(maxtasksperchild=number)  # type: ignore[arg-type]
    for call in (pool.map, pool.imap, pool.imap_unordered):
        with pytest.raises(ValueError, match="hunksize"):
            call(abs, [1], chunksize=0)


def test_an_initializer_runs_in_each_thread_and_anew_after_so_many_calls() -> None:
    here = threading.local()

    def initialize(first: int) -> None:
        here.left = first

    def call(_: int) -> int:
        here.left -= 1
        return int(here.left)

    with Pool(initializer=initialize, initargs=[5], maxtasksperchild=5) as pool:
        left = [pool.apply(call, (n,)) for n in range(100)]
        left += pool.map(call, range(200))
    pool.join()
    assert min(left) >= 0
    assert max(left) == 4
