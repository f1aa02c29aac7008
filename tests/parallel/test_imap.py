"""imap: values, their order, and how far ahead it pulls."""

from __future__ import annotations

import contextvars
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.gates import Gate, join, until
from support.places import Place

import taskrt
from taskrt import (
    AtomicInt,
    CancelScope,
    Event,
    fetch,
    move_on_after,
    parallel,
    spawn,
    thread_id,
    yield_now,
)

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002


def successor(number: int) -> int:
    return number + 1


class Counted(Iterator[int]):
    """0, 1, 2, ...; how many were pulled, and whether two were at once."""

    def __init__(self, length: int | None = None, pause: Callable[[], Any] = int):
        self.pulled = 0
        self.length = length
        self.overlapped = False
        self.pause = pause
        self._inside = False

    def __next__(self) -> int:
        self.overlapped |= self._inside
        self._inside = True
        self.pause()
        self._inside = False
        if self.pulled == self.length:
            raise StopIteration
        self.pulled += 1
        return self.pulled - 1


def kinds(length: int) -> list[Iterable[int]]:
    """The same items in a list, whose pull costs nothing, and in a generator."""
    return [list(range(length)), (number for number in range(length))]


# --- values and their order -----------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 2, 5, 1000, 20_000])
@pytest.mark.parametrize("ordered", [True, False])
def test_results_are_those_of_map(length: int, ordered: bool, run: Place) -> None:
    def body() -> None:
        for items in kinds(length):
            found = list(parallel.imap(successor, items, ordered=ordered))
            if not ordered:
                found.sort()
            assert found == list(range(1, length + 1))

    run(body)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(), max_size=200),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(1, 40),
    st.booleans(),
)
def test_options_change_no_result(
    items: list[int], buffer: int | None, grain: int | None, plain: bool
) -> None:
    given_items = items if plain else iter(items)
    expected = list(map(str, items))
    assert list(parallel.imap(str, given_items, buffer=buffer, grain=grain)) == expected
    again = parallel.imap(str, iter(items), buffer=buffer, grain=grain, ordered=False)
    assert sorted(again) == sorted(expected)


@pytest.mark.parametrize("huge", [1 << 62, 1 << 63, 10**30])
@pytest.mark.parametrize("given", [iter, list])
def test_huge_numbers_mean_no_bound(huge: int, given: Callable[..., Any]) -> None:
    for options in ({"grain": huge}, {"buffer": huge}, {"grain": huge, "buffer": huge}):
        results = parallel.imap(str, given(range(100)), **options)
        assert list(results) == list(map(str, range(100)))


def test_several_iterables_end_with_the_shortest() -> None:
    assert list(parallel.imap(pow, [2, 3, 4], itertools.count())) == [1, 3, 16]
    with pytest.raises(ValueError, match="zip"):
        list(parallel.imap(pow, [2, 3, 4], [1], strict=True))


def test_unordered_gives_what_is_ready() -> None:
    """An item that takes for ever holds up nobody but itself."""
    hold = Event()

    def wait_for_zero(number: int) -> int:
        if number == 0:
            hold.wait()
        return number

    with parallel.imap(
        wait_for_zero, range(10), ordered=False, grain=1, buffer=4
    ) as results:
        found = [next(results) for _ in range(9)]
        assert sorted(found) == list(range(1, 10))
        hold.set()
        assert list(results) == [0]


def test_init_makes_what_the_calls_of_a_task_share() -> None:
    made = []

    def make() -> list[int]:
        made.append(0)
        return []

    def call(scratch: list[int], number: int) -> int:
        scratch.append(number)
        return len(scratch)

    found = list(parallel.imap(call, range(30), init=make, grain=10))
    assert found == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 3
    assert len(made) == 3


def test_fn_runs_in_the_context_of_the_call() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("made")
    results = parallel.imap(lambda _: variable.get(), iter(range(50)), grain=1)
    variable.set("consumed")
    assert set(results) == {"made"}


# --- the window -----------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("grain", [None, 1, 3, 100])
@pytest.mark.parametrize("buffer", [1, 2, 7, 64])
def test_input_is_pulled_no_further_than_the_buffer(
    buffer: int, grain: int | None, ordered: bool
) -> None:
    source = Counted()
    results = parallel.imap(
        successor, source, buffer=buffer, grain=grain, ordered=ordered
    )
    assert source.pulled == 0
    for taken in range(100):
        next(results)
        for _ in range(3):
            yield_now()
        assert source.pulled <= taken + buffer
    results.close()


def test_a_default_window_has_two_blocks_for_each_thread(threads: int) -> None:
    source = Counted()
    with parallel.imap(successor, source, grain=5) as results:
        next(results)
        until(lambda: source.pulled == 2 * threads * 5)
        for _ in range(20):
            yield_now()
        assert source.pulled == 2 * threads * 5


def test_as_many_calls_wait_at_once_as_the_buffer_allows() -> None:
    inside = AtomicInt()
    seen = []
    hold = Event()

    def call(number: int) -> int:
        seen.append(inside.fetch_add() + 1)
        hold.wait()
        inside.fetch_sub()
        return number

    results = parallel.imap(call, iter(range(40)), buffer=20, grain=1)
    first = spawn(next, results)
    until(lambda: inside.load() == 20)
    hold.set()
    assert fetch(first) == 0
    assert list(results) == list(range(1, 40))
    assert max(seen) == 20


def test_infinite_inputs_have_beginnings() -> None:
    with parallel.imap(pow, itertools.count(), itertools.repeat(2)) as squares:
        assert list(itertools.islice(squares, 1000)) == [n * n for n in range(1000)]


def test_nothing_is_called_before_the_first_next() -> None:
    source = Counted()
    results = parallel.imap(successor, source)
    for _ in range(10):
        yield_now()
    assert source.pulled == 0
    results.close()


# --- the pull -------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_one_at_a_time_pulls(ordered: bool) -> None:
    source = Counted(3000, yield_now)
    found = list(parallel.imap(successor, source, ordered=ordered, grain=7))
    assert sorted(found) == list(range(1, 3001))
    assert not source.overlapped


@pytest.mark.parametrize("ordered", [True, False])
def test_the_pull_may_run_in_parallel_itself(ordered: bool) -> None:
    """Rayon's par_bridge can hang there."""

    def items() -> Iterator[int]:
        for number in range(100):
            yield parallel.reduce(max, range(number + 1), grain=1)

    found = sorted(parallel.imap(successor, items(), ordered=ordered))
    assert found == list(range(1, 101))


def test_maps_of_maps() -> None:
    stages: Iterable[int] = iter(range(3000))
    for _ in range(5):
        stages = parallel.imap(successor, stages)
    assert list(stages) == list(range(5, 3005))


@pytest.mark.parametrize("grain", [None, 50])
@pytest.mark.parametrize("ordered", [True, False])
def test_the_input_may_wait_for_results(ordered: bool, grain: int | None) -> None:
    """What was pulled is handed out though the next item is long in coming."""
    given_back: taskrt.Channel[int] = taskrt.Channel(None)

    def items() -> Iterator[int]:
        for number in range(100):
            yield number
        number = 0
        while number < 400:
            number = given_back.get()
            yield number

    found = []
    for result in parallel.imap(successor, items(), ordered=ordered, grain=grain):
        given_back.put(result)
        found.append(result)
    assert max(found) >= 400


def test_results_come_while_the_input_waits() -> None:
    go_on = Event()

    def items() -> Iterator[int]:
        yield from range(1500)
        go_on.wait()
        yield 1500

    results = parallel.imap(successor, items())
    assert [next(results) for _ in range(1500)] == list(range(1, 1501))
    go_on.set()
    assert list(results) == [1501]


# --- consumers ------------------------------------------------------------------------


def test_consumers_share_the_items() -> None:
    results = parallel.imap(successor, iter(range(2000)))
    shares: list[list[int]] = []

    def consume() -> None:
        share = []
        for result in results:
            share.append(result)
            yield_now()
        shares.append(share)

    threads = [threading.Thread(target=consume) for _ in range(3)]
    for thread in threads:
        thread.start()
    tasks = [spawn(consume) for _ in range(3)]
    taskrt.wait(*tasks)
    join(*threads)
    assert all(share == sorted(share) for share in shares)
    assert sorted(itertools.chain(*shares)) == list(range(1, 2001))


def test_one_thread_goes_on_where_another_left_off() -> None:
    results = parallel.imap(successor, iter(range(1000)))
    found = list(itertools.islice(results, 10))
    found += fetch(spawn(lambda: list(itertools.islice(results, 300))))
    thread = threading.Thread(target=lambda: found.extend(itertools.islice(results, 9)))
    thread.start()
    join(thread)
    found += results
    assert found == list(range(1, 1001))


def test_a_plain_thread_needs_no_other(
    set_num_threads: Callable[[int], object],
) -> None:
    """With one thread, main, which does nothing meanwhile."""
    set_num_threads(1)
    found: list[list[int]] = []

    def consume() -> None:
        for ordered in (True, False):
            results = parallel.imap(successor, iter(range(300)), ordered=ordered)
            found.append(sorted(results))

    thread = threading.Thread(target=consume)
    thread.start()
    thread.join(30)
    assert found == [list(range(1, 301))] * 2


@pytest.mark.parametrize("ordered", [True, False])
def test_a_cancelled_next_loses_nothing(ordered: bool) -> None:
    with Gate() as gate:
        results = parallel.imap(
            lambda number: number + (fetch(gate.task) or 0),
            range(10),
            ordered=ordered,
        )
        for _ in range(5):
            with move_on_after(SOON) as scope:
                next(results)
            assert scope.cancelled_caught
        gate.open()
        assert sorted(results) == list(range(10))


def test_a_cancelled_consumer_does_not_wait_for_the_input() -> None:
    never = Event()

    def items() -> Iterator[int]:
        yield 1
        never.wait()

    results = parallel.imap(successor, items())
    assert next(results) == 2
    with CancelScope() as scope:
        waiting = spawn(next, results)
        until(lambda: waiting.state == "suspended")
        scope.cancel()
        waiting.cancel()
        assert waiting.exception() is not None
    results.close()


def test_calls_of_one_thread_run_on_others(threads: int) -> None:
    if threads == 1:
        pytest.skip("there is no other")
    seen = set()

    def call(number: int) -> int:
        seen.add(thread_id())
        while len(seen) < 2:  # with the thread: it can start nothing else meanwhile
            time.sleep(0.0002)
        return number

    assert list(parallel.imap(call, range(20), grain=1)) == list(range(20))


# --- arguments ------------------------------------------------------------------------


def test_wrong_arguments_are_refused_at_once() -> None:
    wrong: Any
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="buffer must be 1 or more"):
            parallel.imap(successor, [], buffer=wrong)
        with pytest.raises(ValueError, match="grain must be 1 or more"):
            parallel.imap(successor, [], grain=wrong)
    for wrong in ("1", 1.0, True):
        with pytest.raises(TypeError, match="buffer must be an int"):
            parallel.imap(successor, [], buffer=wrong)
    with pytest.raises(TypeError, match="not 'int'"):
        parallel.imap(wrong := 5, [])
    with pytest.raises(TypeError, match="one iterable or more"):
        parallel.imap(successor)
    with pytest.raises(TypeError, match="iterable"):
        parallel.imap(successor, wrong)


def test_it_is_an_iterator_that_is_not_copied() -> None:
    results = parallel.imap(successor, [])
    assert iter(results) is results
    with pytest.raises(TypeError, match="pickle"):
        results.__reduce__()
    assert sys.getrefcount(results) < 5
