"""TaskExecutor.map: results in order, errors in their place, calls made at once."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

import taskrt
from taskrt import fetch, spawn
from taskrt.interop.futures import TaskExecutor

CHUNKS = [None, 1, 3, 1000]


@pytest.fixture
def executor() -> Iterator[TaskExecutor]:
    with TaskExecutor() as made:
        yield made


def divide(number: int) -> int:
    return 60 // number


@pytest.mark.parametrize("chunksize", CHUNKS)
@pytest.mark.parametrize("length", [0, 1, 2, 100, 5000])
def test_results_come_in_order(
    executor: TaskExecutor, length: int, chunksize: int | None
) -> None:
    found = executor.map(pow, range(length), itertools.repeat(2), chunksize=chunksize)
    assert list(found) == [n * n for n in range(length)]
    assert list(executor.map(str, range(length), chunksize=chunksize)) == list(
        map(str, range(length))
    )


def test_iterables_are_taken_at_once_and_together(executor: TaskExecutor) -> None:
    items = [1, 2, 3]
    found = executor.map(lambda *args: args, items, itertools.count(), "abcdef")
    items.clear()
    assert list(found) == [(1, 0, "a"), (2, 1, "b"), (3, 2, "c")]
    assert list(executor.map(lambda: 1)) == []


@pytest.mark.parametrize("chunksize", CHUNKS)
def test_an_error_is_raised_in_its_place(
    executor: TaskExecutor, chunksize: int | None
) -> None:
    found = executor.map(divide, [1, 2, 0, 3], chunksize=chunksize)
    assert next(found) == 60
    assert next(found) == 30
    with pytest.raises(ZeroDivisionError):
        next(found)
    with pytest.raises(StopIteration):
        next(found)


@pytest.mark.parametrize("chunksize", CHUNKS)
def test_all_calls_are_made_whoever_takes_results(chunksize: int | None) -> None:
    """Also those after one that fails, until somebody comes to the error."""
    called: list[int] = []

    def call(number: int) -> None:
        called.append(number)
        divide(number - 50)

    with TaskExecutor() as executor:
        results = executor.map(call, range(100), chunksize=chunksize)
    assert sorted(called) == list(range(100))
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_calls_are_made_if_nobody_keeps_the_iterator() -> None:
    called: list[int] = []
    with TaskExecutor() as executor:
        executor.map(called.append, range(1000))
    assert sorted(called) == list(range(1000))


@pytest.mark.parametrize("end", ["close", "drop", "error"])
def test_calls_that_nobody_wants_any_more_are_not_begun(end: str) -> None:
    called: list[int] = []
    begun, may_go_on = threading.Event(), threading.Event()

    def call(number: int) -> int:
        called.append(number)
        if number == 1:
            begun.set()
            assert may_go_on.wait(60)
        return divide(number)

    with TaskExecutor(1) as executor:
        items = [0 if end == "error" else 2, *range(1, 100)]
        results = executor.map(call, items, chunksize=1)
        assert begun.wait(60)
        if end == "error":
            with pytest.raises(ZeroDivisionError):
                next(results)
        elif end == "close":
            results.close()  # type: ignore[attr-defined]
            with pytest.raises(StopIteration):
                next(results)
            results.close()  # type: ignore[attr-defined]
        else:
            next(results)
            del results
        may_go_on.set()
    assert called == items[:2]


def test_next_raises_TimeoutError_in_time(  # noqa: N802
    executor: TaskExecutor,
) -> None:
    may_end = threading.Event()

    def call(number: int) -> int:
        assert number < 2 or may_end.wait(60)
        return number

    results = executor.map(call, range(3), timeout=0.05)
    found: list[int] = []
    with pytest.raises(TimeoutError):
        found.extend(results)
    assert found in ([], [0], [0, 1])
    may_end.set()


def test_what_was_cancelled_at_a_shutdown_is_said() -> None:
    executor = TaskExecutor(1)
    begun, may_go_on = threading.Event(), threading.Event()

    def call(number: int) -> int:
        begun.set()
        assert may_go_on.wait(60)
        return number

    results = executor.map(call, range(100), chunksize=1)
    assert begun.wait(60)
    executor.shutdown(wait=False, cancel_futures=True)
    may_go_on.set()
    assert next(results) == 0
    with pytest.raises(CancelledError):
        next(results)
    executor.shutdown()


def test_calls_of_a_closed_executor_go_on(executor: TaskExecutor) -> None:
    results = executor.map(str, range(3000))
    executor.shutdown(wait=False)
    assert list(results) == list(map(str, range(3000)))
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.map(str, range(3))


def test_calls_may_wait_for_each_other_one_to_a_task(executor: TaskExecutor) -> None:
    barrier = taskrt.Barrier(10)
    places = executor.map(lambda _: barrier.wait(), range(10), chunksize=1)
    assert sorted(places) == list(range(10))


@pytest.mark.parametrize("max_workers", [None, 1])
def test_maps_are_nested(max_workers: int | None) -> None:
    def nest(depth: int) -> int:
        if depth == 0:
            return 1
        return sum(executor.map(nest, [depth - 1] * 3))

    with TaskExecutor(max_workers) as executor:
        assert nest(5) == 243
        assert executor.submit(nest, 5).result() == 243
        assert fetch(spawn(nest, 5)) == 243


def test_results_are_let_go_of_as_they_are_taken(executor: TaskExecutor) -> None:
    class Thing:
        pass

    def make(_: int) -> Thing:
        return Thing()

    for thing in executor.map(make, range(10), chunksize=10):
        # Without the GIL its reference count may be merged later.
        gone = weakref.ref(thing)
        assert gone() is thing


@pytest.mark.parametrize("chunksize", CHUNKS)
def test_a_StopIteration_is_an_error(  # noqa: N802
    executor: TaskExecutor, chunksize: int | None
) -> None:
    def stop(number: int) -> int:
        if number == 2:
            raise StopIteration
        return number

    results = executor.map(stop, range(5), chunksize=chunksize)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(RuntimeError, match="StopIteration"):
        next(results)


@pytest.mark.parametrize("buffersize", [1, 2, 7, 1000])
def test_a_buffer_bounds_what_is_taken(executor: TaskExecutor, buffersize: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results = executor.map(str, items(), buffersize=buffersize)
    assert len(taken) <= buffersize
    for number, result in enumerate(results):
        assert result == str(number)
        assert len(taken) <= number + 1 + buffersize
    assert taken == list(range(50))


def test_a_buffered_map_of_an_endless_iterable(executor: TaskExecutor) -> None:
    results = executor.map(divide, itertools.count(-3), buffersize=3)
    assert list(itertools.islice(results, 3)) == [-20, -30, -60]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_wrong_arguments_are_refused(executor: TaskExecutor) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(str, [1], chunksize=0)
    with pytest.raises(ValueError, match="buffersize"):
        executor.map(str, [1], buffersize=0)
    with pytest.raises(TypeError, match="buffersize"):
        executor.map(str, [1], buffersize=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable"):
        executor.map(3, [1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="iterable"):
        executor.map(str, 3)  # type: ignore[arg-type]


def test_a_map_is_taken_by_a_plain_thread_too(executor: TaskExecutor) -> None:
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.extend(executor.map(abs, range(-2000, 0)))
    )
    thread.start()
    thread.join()
    assert found == list(range(2000, 0, -1))
