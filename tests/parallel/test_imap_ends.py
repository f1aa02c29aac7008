"""imap: how it ends: errors, close, being dropped, interrupts, the process's end."""

from __future__ import annotations

import gc
import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from support.child import UNDER_ASAN, Child, run_script
from support.gates import Gate, here, until
from support.interrupts import at_each_call
from support.places import Place

import taskrt
from taskrt import (
    AtomicInt,
    Cancelled,
    CancelledError,
    CancelScope,
    Event,
    checkpoint,
    current_task,
    fetch,
    parallel,
    spawn,
    yield_now,
)
from taskrt.parallel import _imap, _window

pytestmark = pytest.mark.usefixtures("threads")


class Mine(Exception):
    pass


def fail_at(*places: int) -> Callable[[int], int]:
    def call(number: int) -> int:
        if number in places:
            raise Mine(number)
        return number

    return call


def failing(length: int) -> Iterator[int]:
    yield from range(length)
    raise Mine("the input")


def pick(_: object, number: int) -> int:
    return number


def live_tasks() -> int:
    return sum(isinstance(thing, taskrt.Task) for thing in gc.get_objects())


# --- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize("grain", [None, 1, 7, 100])
@pytest.mark.parametrize("place", [0, 1, 50, 99])
def test_an_error_comes_at_its_place(place: int, grain: int | None, run: Place) -> None:
    def body() -> None:
        results = parallel.imap(fail_at(place, 99), range(100), grain=grain)
        found = []
        with pytest.raises(Mine) as caught:
            found.extend(results)
        assert caught.value.args == (place,)
        del found[:]
        again = parallel.imap(fail_at(place), iter(range(100)), grain=grain)
        assert [next(again) for _ in range(place)] == list(range(place))
        with pytest.raises(Mine):
            next(again)
        assert list(again) == []

    run(body)


@pytest.mark.parametrize("place", [0, 50, 99])
def test_unordered_raises_an_error_when_its_block_comes(place: int) -> None:
    results = parallel.imap(fail_at(place), range(100), ordered=False)
    found = []
    with pytest.raises(Mine):
        for result in results:
            found.append(result)
    assert len(set(found)) == len(found)
    assert place not in found
    assert list(results) == []


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("length", [0, 1, 50])
def test_an_error_of_the_input_comes_after_all_results(
    length: int, ordered: bool
) -> None:
    results = parallel.imap(fail_at(), failing(length), ordered=ordered)
    assert sorted(next(results) for _ in range(length)) == list(range(length))
    with pytest.raises(Mine, match="the input"):
        next(results)
    assert list(results) == []


def test_an_error_is_the_object_itself_with_a_note_on_others() -> None:
    errors = {0: Mine("first"), 1: Mine("second")}
    both = Event()

    def call(number: int) -> None:
        if number == 1:
            both.set()
        both.wait()
        raise errors[number]

    results = parallel.imap(call, range(2), buffer=2, grain=1)
    with pytest.raises(Mine) as caught:
        next(results)
    assert caught.value is errors[0]
    for note in getattr(caught.value, "__notes__", []):
        assert note == "1 more failed: Mine('second')"


def test_nothing_runs_any_more_when_an_error_is_raised() -> None:
    running = AtomicInt()
    hold = Event()

    def call(number: int) -> int:
        if number == 0:
            until(lambda: running.load() == 3)
            raise Mine
        running.fetch_add()
        try:
            hold.wait()  # until it is asked to end
        finally:
            running.fetch_sub()
        return number

    results = parallel.imap(call, range(100), buffer=4, grain=1)
    with pytest.raises(Mine):
        next(results)
    assert running.load() == 0


def test_stop_iteration_of_fn_does_not_end_the_loop() -> None:
    def call(_: int) -> int:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(parallel.imap(call, range(10)))


def test_a_call_that_cancels_its_task_is_an_error() -> None:
    def call(number: int) -> int:
        if number == 5:
            task = current_task()
            assert task is not None
            task.cancel()
            checkpoint()
        return number

    results = parallel.imap(call, range(10), grain=1)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(CancelledError):
        next(results)
    assert list(results) == []


def test_init_that_fails_is_an_error_of_its_block() -> None:
    def make() -> None:
        raise Mine

    with pytest.raises(Mine):
        list(parallel.imap(lambda _, number: number, range(10), init=make))


# --- close ----------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_close_waits_for_what_runs_and_starts_nothing(ordered: bool) -> None:
    started = []
    running = AtomicInt()
    gate_open = Event()

    def call(number: int) -> int:
        started.append(number)
        if number == 0:
            return 0
        running.fetch_add()
        try:
            gate_open.wait()
        finally:
            running.fetch_sub()
        return number

    with parallel.imap(
        call, range(1000), buffer=5, grain=1, ordered=ordered
    ) as results:
        assert next(results) == 0
        until(lambda: running.load() > 0)
    assert running.load() == 0
    before = len(started)
    for _ in range(20):
        yield_now()
    assert len(started) == before <= 6
    assert list(results) == []
    results.close()


def test_close_waits_though_the_caller_is_cancelled() -> None:
    with Gate() as gate:
        begun = []
        ended = []

        def call(number: int) -> int:
            begun.append(number)
            try:
                Event().wait()
            finally:
                with CancelScope(shield=True):
                    fetch(gate.task)
                    ended.append(number)
            return number

        def consume() -> None:
            with parallel.imap(call, range(2), grain=1, buffer=2) as results:
                next(results)

        consumer = spawn(consume)
        until(lambda: len(begun) == 2)
        consumer.cancel()
        for _ in range(20):
            yield_now()
        assert not consumer.done()
        gate.open()
        with pytest.raises(CancelledError):
            fetch(consumer)
        assert sorted(ended) == [0, 1]


def test_close_wakes_a_consumer() -> None:
    never = Event()
    results = parallel.imap(lambda _: never.wait(), range(10))
    consumer = spawn(list, results)
    until(lambda: consumer.state == "suspended")
    results.close()
    assert fetch(consumer) == []


def test_close_before_the_first_next() -> None:
    results = parallel.imap(fail_at(), failing(0))
    results.close()
    assert list(results) == []


def test_close_ends_a_pull_that_waits() -> None:
    ended: list[str] = []
    pullers: list[taskrt.Task[object]] = []

    def items() -> Iterator[int]:
        try:
            yield 1
            pullers.append(here())
            Event().wait()
        except Cancelled:
            ended.append("cancelled")
            raise

    results = parallel.imap(fail_at(), items())
    assert next(results) == 1
    pulling = spawn(next, results)
    until(lambda: pullers and pullers[0].state == "suspended")
    results.close()
    assert isinstance(pulling.exception(), StopIteration | RuntimeError)
    assert ended == ["cancelled"]


# --- being dropped --------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_an_iterator_that_is_dropped_leaves_nothing(ordered: bool) -> None:
    pulled = 0

    class Item:
        pass

    items: list[weakref.ref[Item]] = []

    def source() -> Iterator[Item]:
        nonlocal pulled
        while True:
            item = Item()
            items.append(weakref.ref(item))
            pulled += 1
            yield item

    gc.collect()
    for result in parallel.imap(lambda item: item, source(), ordered=ordered):
        assert isinstance(result, Item)
        if pulled > 50:
            break
    del result
    until(lambda: not gc.collect() and not any(ref() for ref in items))
    before = pulled
    for _ in range(20):
        yield_now()
    assert pulled == before


def test_calls_of_a_dropped_iterator_are_asked_to_end() -> None:
    ended = []
    started = Event()

    def call(number: int) -> int:
        if number == 0:
            return 0
        started.set()
        try:
            Event().wait()
        finally:
            ended.append(number)
        return number

    for _ in parallel.imap(call, range(2), grain=1, buffer=2):
        started.wait()
        break
    until(lambda: ended == [1])


def test_a_cycle_with_the_iterator_in_it_is_collected() -> None:
    class Holder:
        results: parallel.imap[int]

    holder = Holder()
    holder.results = parallel.imap(partial(pick, holder), iter(range(100_000)))
    next(holder.results)
    refs = [weakref.ref(holder)]
    del holder
    until(lambda: gc.collect() >= 0 and refs[0]() is None)


def test_a_long_map_keeps_no_more_than_its_window() -> None:
    results = parallel.imap(fail_at(), iter(range(20_000)), grain=1, ordered=False)
    for _ in range(100):
        next(results)
    gc.collect()
    before = live_tasks()
    for _ in range(5000):
        next(results)
    gc.collect()
    assert live_tasks() < before + 300
    results.close()


# --- interrupts, and the process ------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_interrupted_consumers_get_no_result_twice(ordered: bool) -> None:
    for interrupted in at_each_call(_imap):
        results = parallel.imap(fail_at(), iter(range(12)), grain=2, ordered=ordered)
        found: list[int] = []
        with interrupted:
            for result in results:
                found.append(result)
        if ordered:
            assert found == list(range(len(found)))
        rest = list(results)
        both = found + rest
        assert len(both) == len(set(both))
        # As of any call, the value of a `next` that returns just then is lost.
        assert not rest or len(both) >= 11
        if not interrupted.came:
            assert sorted(found) == list(range(12))


@pytest.mark.parametrize("ordered", [True, False])
def test_interrupted_anywhere_it_can_be_closed(
    ordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no signal comes: in the puller, and in what runs blocks."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # as those then fail
    for interrupted in at_each_call(_imap, _window):
        running = AtomicInt()

        def call(number: int, running: AtomicInt = running) -> int:
            running.fetch_add()
            try:
                yield_now()
            finally:
                running.fetch_sub()
            return number

        results = parallel.imap(call, iter(range(12)), grain=2, ordered=ordered)
        found: list[int] = []
        with interrupted:
            for result in results:
                found.append(result)
        results.close()
        assert list(results) == []
        assert running.load() == 0
        if not interrupted.came:
            assert sorted(found) == list(range(12))
        del results
    gc.collect()


SCRIPT = """
import itertools
from taskrt import parallel, sleep

def call(number):
    sleep(0.001)
    return number

try:
    for number in parallel.imap(call, itertools.count(), ordered={ordered}):
        if number == 20:
            print("ready", flush=True)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("ordered", [True, False])
def test_ctrl_c_ends_an_endless_map(threads: int, ordered: bool) -> None:
    env = {"TASKRT_NUM_THREADS": str(threads)}
    with Child(SCRIPT.format(ordered=ordered), env=env) as child:
        child.wait_for_line("ready")
        child.send_signal(signal.SIGINT)
        assert "interrupted\n" in child.finish().stdout


def test_an_iterator_that_is_never_ended_holds_up_no_exit(threads: int) -> None:
    script = """
        import itertools
        from taskrt import parallel
        results = parallel.imap(abs, itertools.count())
        for number in itertools.islice(results, 1000):
            pass
        print(number)
    """
    result = run_script(script, env={"TASKRT_NUM_THREADS": str(threads)})
    assert result.stdout == "999\n"
    assert result.stderr == ""


@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
def test_a_forked_child_finds_the_parents_map_lost() -> None:
    script = """
        import os
        from taskrt import TaskLostError, parallel
        results = parallel.imap(abs, iter(range(10_000)), grain=1)
        next(results)
        pid = os.fork()
        if pid == 0:
            try:
                next(results)
            except TaskLostError:
                results.close()
                os._exit(sum(parallel.imap(abs, [1, -2])) - 3)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert sum(1 for _ in results) == 9999
    """
    run_script(script, options=["-W", "ignore::DeprecationWarning"])
