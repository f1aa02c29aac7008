"""Maps of a Pool: order, chunks, errors, and inputs that fail."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
from collections.abc import Iterator

import pytest

import taskrt
from taskrt.interop.pool import Pool

CHUNKS = [None, 1, 3, 1000]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool() as made:
        yield made
    made.join()


def divide(number: int) -> int:
    return 60 // number


def failing(length: int) -> Iterator[int]:
    """Give so many items, and fail."""
    yield from range(length)
    raise LookupError("the input failed")


@pytest.mark.parametrize("chunksize", CHUNKS)
@pytest.mark.parametrize("length", [0, 1, 2, 100, 5000])
def test_results_come_in_order(pool: Pool, length: int, chunksize: int | None) -> None:
    items = range(length)
    pairs = [(n, 2) for n in items]
    squares = [n * n for n in items]
    assert pool.map(str, iter(items), chunksize) == list(map(str, items))
    assert pool.map_async(str, items, chunksize).get() == list(map(str, items))
    assert pool.starmap(pow, pairs, chunksize) == squares
    assert pool.starmap_async(pow, pairs, chunksize).get() == squares
    assert list(pool.imap(str, iter(items), chunksize)) == list(map(str, items))
    found = list(pool.imap_unordered(str, items, chunksize))
    assert sorted(found, key=int) == list(map(str, items))


@pytest.mark.parametrize("chunksize", CHUNKS)
def test_a_map_raises_the_first_error_once_all_calls_are_made(
    pool: Pool, chunksize: int | None
) -> None:
    called: list[int] = []
    errors = {30: KeyError(30), 20: ValueError(20)}

    def call(number: int) -> int:
        called.append(number)
        if number in errors:
            raise errors[number]
        return number

    with pytest.raises(ValueError, match="20") as info:
        pool.map(call, range(100), chunksize)
    assert info.value is errors[20]
    assert sorted(called) == list(range(100))


@pytest.mark.parametrize("chunksize", CHUNKS)
def test_a_lazy_map_goes_on_after_an_error(pool: Pool, chunksize: int | None) -> None:
    results = pool.imap(divide, [1, 0, 2, 0, 3], chunksize)
    assert next(results) == 60
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert results.next(60) == 30
    with pytest.raises(ZeroDivisionError):
        results.next()
    assert next(results) == 20
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)


def test_the_error_of_an_input_comes_last(pool: Pool) -> None:
    results = pool.imap(str, failing(100))
    assert [next(results) for _ in range(100)] == list(map(str, range(100)))
    with pytest.raises(LookupError, match="the input failed"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_the_error_of_an_input_comes_once_where_order_is_open(pool: Pool) -> None:
    results = pool.imap_unordered(str, failing(100))
    found: list[str] = []
    errors: list[LookupError] = []
    for _ in range(101):
        try:
            found.append(next(results))
        except LookupError as error:
            errors.append(error)
    assert len(errors) == 1
    assert sorted(found, key=int) == list(map(str, range(100)))
    with pytest.raises(StopIteration):
        next(results)


def test_of_a_chunk_that_the_input_fails_in_nothing_comes(pool: Pool) -> None:
    results = pool.imap(str, failing(7), chunksize=2)
    assert [next(results) for _ in range(6)] == list("012345")
    with pytest.raises(LookupError):
        next(results)


def test_an_input_that_fails_before_a_map_begins(pool: Pool) -> None:
    for call in (pool.map, pool.map_async):
        with pytest.raises(LookupError):
            call(str, failing(3))
        with pytest.raises(TypeError):
            call(str, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        next(pool.imap(str, 3))  # type: ignore[arg-type]


def test_an_input_may_wait_for_the_results_before(pool: Pool) -> None:
    """Each item is called for as soon as it is there."""
    results: list[taskrt.Channel[int]] = [taskrt.Channel(1) for _ in range(20)]

    def items() -> Iterator[int]:
        for number in range(20):
            yield number
            assert results[number].get() == number

    def call(number: int) -> int:
        results[number].put(number)
        return number

    assert list(pool.imap(call, items())) == list(range(20))


def test_next_raises_TimeoutError_in_time(pool: Pool) -> None:  # noqa: N802
    may_end = threading.Event()

    def call(number: int) -> int:
        assert may_end.wait(60)
        return number

    for results in (pool.imap(call, [1]), pool.imap_unordered(call, [1])):
        for timeout in (0, 0.001):
            with pytest.raises(multiprocessing.TimeoutError):
                results.next(timeout)
    may_end.set()


def test_calls_are_made_whoever_takes_results(pool: Pool) -> None:
    called: list[int] = []
    for method in (pool.imap, pool.imap_unordered):
        method(called.append, range(500))
    pool.map_async(called.append, range(500))
    pool.close()
    pool.join()
    assert sorted(called) == sorted([*range(500)] * 3)


def test_several_threads_take_results(pool: Pool) -> None:
    results = pool.imap(abs, range(3000))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.extend(results)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(3000))


def test_calls_of_a_map_may_wait_for_each_other_one_to_a_task(pool: Pool) -> None:
    barrier = taskrt.Barrier(10)
    places = pool.map(lambda _: barrier.wait(), range(10), chunksize=1)
    assert sorted(places) == list(range(10))


def test_a_terminated_pool_stops_an_endless_input() -> None:
    pool = Pool()
    results = pool.imap(abs, itertools.count())
    assert [next(results) for _ in range(10)] == list(range(10))
    pool.terminate()
    pool.join()
    with pytest.raises(taskrt.CancelledError):
        list(results)


def test_maps_are_taken_within_tasks() -> None:
    def inside(_: int) -> list[int]:
        return [*pool.imap(abs, range(-5, 0)), *pool.map(abs, range(-5, 0))]

    for processes in (None, 1):
        with Pool(processes) as pool:
            found = pool.map(inside, range(10), chunksize=1)
        pool.join()
        assert found == [[5, 4, 3, 2, 1] * 2] * 10
