"""A loop that fails: which error leaves it, when, and what has ended by then."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable

import pytest
from support.ends import fail
from support.gates import until
from support.places import Place

import taskrt
from taskrt import Cancelled, CancelledError, parallel
from taskrt.parallel._blocks import Schedule, run_blocks

SCHEDULES: list[Schedule] = ["auto", "static", "greedy", "serial"]

pytestmark = pytest.mark.usefixtures("threads")


class Oops(Exception):
    pass


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_error_is_the_one_that_was_raised(schedule: Schedule, run: Place) -> None:
    error = Oops("at 700")

    def body(low: int, high: int) -> None:
        if low <= 700 < high:
            raise error

    def check() -> None:
        with pytest.raises(Oops) as caught:
            run_blocks(1000, body, schedule=schedule)
        assert caught.value is error

    run(check)
    assert not hasattr(error, "__notes__")
    assert error.__context__ is None


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_lowest_error_is_raised_and_the_others_are_noted(
    schedule: Schedule,
) -> None:
    begun: list[int] = []
    parties = 1 if schedule == "serial" else taskrt.num_threads()

    def body(low: int, high: int) -> None:
        begun.append(low)
        until(lambda: len(begun) >= parties)
        raise Oops(low)

    with pytest.raises(Oops) as caught:
        run_blocks(64, body, grain=1, schedule=schedule)
    assert caught.value.args == (min(begun),)
    notes = getattr(caught.value, "__notes__", [])
    if len(begun) == 1:
        assert notes == []
    else:
        (note,) = notes
        assert note.startswith(f"{len(begun) - 1} more failed: Oops(")


def test_no_block_begins_after_an_error_was_raised() -> None:
    calls: list[int] = []

    def body(low: int, high: int) -> None:
        calls.append(low)
        if low == 0:
            raise Oops

    with pytest.raises(Oops):
        run_blocks(100_000, body, grain=1)
    count = len(calls)
    assert count < 100_000
    taskrt.sleep(0.002)
    assert len(calls) == count


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_loop_that_fails_waits_for_the_blocks_that_run(schedule: Schedule) -> None:
    running, most = taskrt.AtomicInt(), taskrt.num_threads()
    failed = taskrt.Event()

    def body(low: int, high: int) -> None:
        mine = running.fetch_add() + 1
        try:
            if schedule == "serial" or mine == most:
                failed.set()
                raise Oops(low)
            failed.wait()
            taskrt.sleep(0.001)
        finally:
            running.fetch_sub()

    with pytest.raises(Oops):
        run_blocks(64, body, grain=1, schedule=schedule)
    assert running.load() == 0


def test_an_error_in_a_loop_in_a_loop() -> None:
    def inner(x: int) -> int:
        return 1 // (x - 5)

    def outer(x: int) -> list[int]:
        return parallel.map(inner, range(x))

    assert parallel.map(outer, range(5))[4] == [-1, -1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        parallel.map(outer, range(9))


def test_errors_count_as_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    for _ in range(20):
        with pytest.raises(Oops):
            parallel.for_each(fail, [Oops(n) for n in range(50)], grain=1)
    with pytest.raises(SystemExit):
        parallel.for_each(fail, [SystemExit(n) for n in range(50)], grain=1)
    gc.collect()
    assert reports == []


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, KeyboardInterrupt, Oops])
def test_errors_of_every_kind_leave_the_loop(kind: type[BaseException]) -> None:
    for at in (0, 50, 99):

        def body(low: int, high: int, at: int = at) -> None:
            if low == at:
                raise kind

        with pytest.raises(kind):
            run_blocks(100, body, grain=1)


def test_stop_iteration_is_an_error_like_others() -> None:
    with pytest.raises(StopIteration):
        parallel.map(fail, [StopIteration(3)])
    with pytest.raises(StopIteration):
        parallel.map(lambda a, b: fail(a), [StopIteration(3)], [0])
    with pytest.raises(StopIteration):
        parallel.map(next, [iter([])])


def test_a_task_of_the_loop_that_is_cancelled_does_not_pass_for_done() -> None:
    """By one of its own calls, that is; the caller is not cancelled."""
    if taskrt.num_threads() == 1:
        pytest.skip("the loop has no tasks")
    here = taskrt.current_task()

    done: list[int] = []

    def body(low: int, high: int) -> None:
        task = taskrt.current_task()
        if task is here:
            until(lambda: done)
        elif task is not None:
            task.cancel()
            done.append(low)

    with pytest.raises(CancelledError):
        run_blocks(64, body, grain=1)


def test_nothing_of_a_loop_that_failed_stays() -> None:
    class Item:
        pass

    items = [Item() for _ in range(100)]
    refs = [weakref.ref(item) for item in items]

    def body(item: Item) -> None:
        if item is items[40]:
            raise Oops

    with pytest.raises(Oops):
        parallel.for_each(body, items, grain=1)
    items.clear()
    gc.collect()
    assert [ref() for ref in refs] == [None] * 100


def test_errors_of_what_surrounds_the_calls_leave_the_loop() -> None:
    def numbers() -> object:
        yield 1
        raise Oops("iterable")

    calls: list[int] = []
    with pytest.raises(Oops, match="iterable"):
        parallel.for_each(calls.append, numbers())
    assert calls == []
    with pytest.raises(Oops, match="init"):
        parallel.for_each(max, [1, 2, 3], init=lambda: fail(Oops("init")))
    with pytest.raises(Oops, match="progress"):
        parallel.for_each(abs, [1, 2], progress=lambda *_: fail(Oops("progress")))


@pytest.mark.parametrize("loop", [parallel.map, parallel.for_each])
def test_a_list_that_becomes_shorter_is_told(loop: Callable[..., object]) -> None:
    items: list[int] = []

    def shrink(*_: int) -> None:
        del items[10:]

    for count in (1, 2):
        items[:] = range(1000)
        with pytest.raises(RuntimeError, match="a list has become shorter"):
            loop(shrink, *([items] * count), grain=1)


def test_cancelled_in_a_call_is_no_error_of_the_loop() -> None:
    """Raised by hand it ends the caller as it does anywhere."""
    with pytest.raises((Cancelled, CancelledError)):
        run_blocks(10, lambda low, high: fail(Cancelled()), grain=1)
