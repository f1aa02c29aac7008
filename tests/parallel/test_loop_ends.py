"""A loop that is cancelled or interrupted ends when all its calls have."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.gates import until, until_suspended
from support.interrupts import at_each_call

import taskrt
from taskrt import Cancelled, CancelScope, move_on_after, parallel, sleep, spawn
from taskrt.parallel import _blocks, _calls, _eager, _progress, _reducer
from taskrt.parallel._blocks import Schedule, run_blocks

SCHEDULES: list[Schedule] = ["auto", "static", "greedy", "serial"]
NEVER = 1e6

pytestmark = pytest.mark.usefixtures("threads")


class Calls:
    """Counts calls, and those that have not returned."""

    def __init__(self) -> None:
        self.made, self.running = taskrt.AtomicInt(), taskrt.AtomicInt()

    @contextmanager
    def one(self) -> Iterator[None]:
        self.made.fetch_add()
        self.running.fetch_add()
        try:
            yield
        finally:
            self.running.fetch_sub()

    def have_ended(self) -> bool:
        made = self.made.load()
        sleep(0.0005)
        return self.running.load() == 0 and self.made.load() == made


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_calls_that_wait_are_cancelled_with_the_loop(schedule: Schedule) -> None:
    calls = Calls()

    def body(low: int, high: int) -> None:
        with calls.one():
            sleep(NEVER)

    with move_on_after(0.005) as scope:
        run_blocks(100, body, grain=1, schedule=schedule)
    assert scope.cancelled_caught
    assert calls.have_ended()
    if schedule != "auto":  # there whoever waits makes room for others
        assert calls.made.load() <= taskrt.num_threads()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_calls_that_never_wait_end_at_the_next_block(schedule: Schedule) -> None:
    calls = Calls()

    def body(low: int, high: int) -> None:
        with calls.one():
            time.sleep(0.0001)

    with move_on_after(0.005) as scope:
        run_blocks(10**9, body, grain=1, schedule=schedule)
    assert scope.cancelled_caught
    assert calls.have_ended()


def test_a_loop_that_begins_cancelled_calls_nothing() -> None:
    with CancelScope() as scope:
        scope.cancel()
        run_blocks(100, lambda low, high: pytest.fail("called"))
    assert scope.cancelled_caught


def test_a_task_in_a_loop_can_be_cancelled() -> None:
    calls = Calls()

    def body(low: int, high: int) -> None:
        with calls.one():
            sleep(NEVER)

    task = spawn(run_blocks, 100, body, grain=1)
    until(lambda: calls.made.load() >= 1)
    until_suspended(task)
    task.cancel()
    until(task.done)
    assert task.cancelled()
    assert calls.have_ended()


def test_a_scope_in_a_call_ends_only_that_call() -> None:
    def body(low: int, high: int) -> None:
        with CancelScope() as scope:
            scope.cancel()
            sleep(NEVER)

    run_blocks(100, body, grain=1)


def test_a_cancelled_call_can_clean_up() -> None:
    cleaned = taskrt.AtomicInt()

    def body(low: int, high: int) -> None:
        try:
            scope.deadline = time.monotonic() + 0.005
            sleep(NEVER)
        except Cancelled:
            with CancelScope(shield=True):
                sleep(0.001)
            cleaned.fetch_add()
            raise

    with CancelScope() as scope:
        run_blocks(100, body, grain=1)
    assert cleaned.load() >= 1


def test_ctrl_c_ends_the_loop_when_its_calls_have_ended() -> None:
    calls = Calls()

    def body(low: int, high: int) -> None:
        with calls.one():
            if low == 0:
                signal.raise_signal(signal.SIGINT)
            sleep(NEVER)

    with pytest.raises(KeyboardInterrupt):
        run_blocks(100, body, grain=1)
    assert calls.have_ended()


def test_an_interrupt_tells_of_errors_that_it_hides() -> None:
    def body(low: int, high: int) -> None:
        if low == 0:
            until(lambda: failed)
            signal.raise_signal(signal.SIGINT)
        failed.append(low)
        raise OSError(low)

    failed: list[int] = [] if taskrt.num_threads() > 1 else [0]
    with pytest.raises((KeyboardInterrupt, OSError)) as caught:
        run_blocks(2, body, grain=1, schedule="static")
    if caught.type is KeyboardInterrupt and failed != [0]:
        assert caught.value.__notes__ == ["1 more failed: OSError(1)"]


def test_an_interrupt_anywhere_loses_no_call() -> None:
    calls = Calls()

    def call(number: int) -> int:
        with calls.one():
            return number

    modules = (_blocks, _calls, _eager, _progress, _reducer)
    for interrupted in at_each_call(*modules):
        result = None
        with interrupted:
            result = parallel.map(call, range(12), grain=2)
        assert result == list(range(12)) or interrupted.came
        assert calls.running.load() == 0


def test_an_interrupt_anywhere_ends_a_reduction_and_a_bar() -> None:
    shown: list[int] = []
    modules = (_blocks, _calls, _eager, _progress, _reducer)
    for interrupted in at_each_call(*modules):
        total: parallel.Reducer[list[int]] = parallel.Reducer(list, list.__add__)
        with interrupted:
            parallel.for_each(
                list.append,
                range(6),
                init=total,
                grain=2,
                progress=lambda done, of: shown.append(done),
            )
        if not interrupted.came:
            assert total.value == list(range(6))
