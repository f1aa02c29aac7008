"""Tasks that start later: spawn_later, Timer."""

from __future__ import annotations

import contextvars
import gc
import math
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from support.gates import join, until

import taskrt
from taskrt import (
    CancelledError,
    TaskGroup,
    Timer,
    fetch,
    sleep,
    spawn_later,
    timers,
    wait,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002
LONG = 1000.0


def pending_timers() -> int:
    return len(timers._keeper._heap)


@pytest.fixture(autouse=True)
def nothing_left_over() -> object:
    yield
    timers._keeper.stop()
    until(lambda: (task := timers._keeper._task) is None or task.done())


# --- spawn_later ----------------------------------------------------------------------


def test_it_runs_when_its_time_has_come() -> None:
    start = time.monotonic()
    task = spawn_later(0.01, time.monotonic)
    assert fetch(task) - start >= 0.01
    assert fetch(spawn_later(0, int)) == 0


def test_a_fetch_waits_for_the_time() -> None:
    start = time.monotonic()
    for wait_for in (fetch, wait, taskrt.Task.result):
        wait_for(spawn_later(SOON, int))
    assert time.monotonic() - start >= 3 * SOON


def test_they_are_started_in_the_order_of_their_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Those that are late together run in any order.
    started: list[object] = []
    start = timers._start

    def note(target: Any, now: float) -> None:
        started.append(target)
        start(target, now)

    monkeypatch.setattr(timers, "_start", note)
    with timers._keeper._lock:  # none is started before all are there
        tasks = [spawn_later(delay, int) for delay in (0.03, 0.01, 0.02, 0.0, 0.01)]
        expected = [target for _, _, target in sorted(timers._keeper._heap)]
    wait(*tasks)
    assert started == expected
    assert set(started) == set(tasks)


def test_an_earlier_one_wakes_the_keeper() -> None:
    long = spawn_later(LONG, int)
    assert fetch(spawn_later(SOON, int)) == 0
    assert long.state == "pending"
    long.cancel()


def test_cancelled_before_its_time_it_never_runs() -> None:
    ran: list[int] = []
    task = spawn_later(SOON, ran.append, 1)
    assert task.cancel("no")
    with pytest.raises(CancelledError, match="no"):
        fetch(task)
    fetch(spawn_later(2 * SOON, int))
    assert ran == []


def test_cancel_races_with_the_start() -> None:
    for _ in range(300):
        ran: list[int] = []
        task = spawn_later(0.0001, ran.append, 1)
        sleep(0.0001)
        task.cancel()
        wait(task)
        assert task.cancelled() == (not ran)
    until(lambda: taskrt.stats()["live"] <= 1)


def test_live_tasks_do_not_count_what_is_pending() -> None:
    fetch(spawn_later(0, int))
    until(lambda: taskrt.stats()["live"] == 0)
    tasks = [spawn_later(LONG, int) for _ in range(10)]
    assert taskrt.stats()["live"] <= 1  # the keeper
    for task in tasks:
        task.cancel()
    assert taskrt.stats()["live"] <= 1


def test_the_keeper_ends_with_the_last_timer() -> None:
    fetch(spawn_later(SOON, int))
    until(lambda: timers._keeper._task is None)
    assert pending_timers() == 0


def test_from_tasks_and_threads_at_once() -> None:
    def make(n: int) -> list[taskrt.Task[int]]:
        return [spawn_later(0.0001 * (i % 7), int, n + i) for i in range(50)]

    made: list[taskrt.Task[int]] = []
    threads = [
        threading.Thread(target=lambda n=n: made.extend(make(n))) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    with TaskGroup() as group:
        for n in range(4):
            group.spawn(lambda n=n: made.extend(make(n)))
    join(*threads)
    wait(*made)
    assert len(made) == 400
    assert all(task.state == "done" for task in made)


@pytest.mark.parametrize("delay", [-1, math.nan])
def test_wrong_delays(delay: float) -> None:
    with pytest.raises(ValueError, match="delay"):
        spawn_later(delay, int)
    with pytest.raises(ValueError, match="delay"):
        Timer(delay, int)
    with pytest.raises(TypeError):
        spawn_later("5", int)  # type: ignore[arg-type]


def test_what_was_cancelled_is_swept_out() -> None:
    for _ in range(50):
        for task in [spawn_later(LONG, int) for _ in range(100)]:
            task.cancel()
    assert pending_timers() <= 300


def test_a_hundred_thousand_are_cheap() -> None:
    tasks = [spawn_later(LONG + n % 100, int) for n in range(100_000)]
    assert pending_timers() == 100_000
    timers._keeper.stop()
    assert all(task.cancelled() for task in tasks)
    assert pending_timers() == 0


# --- Timer ----------------------------------------------------------------------------


def test_a_timer_calls_once() -> None:
    event = Event()
    calls: list[object] = []
    timer = Timer(SOON, lambda *args: (calls.append(args), event.set()), 1, "two")
    assert event.wait() is True
    until(timer.done)
    sleep(2 * SOON)
    assert calls == [(1, "two")]
    assert timer.cancel() is False


def test_a_timer_calls_again_and_again() -> None:
    calls: list[float] = []
    event = Event()

    def call() -> None:
        calls.append(time.monotonic())
        if len(calls) == 5:
            event.set()

    start = time.monotonic()
    timer = Timer(0, call, interval=SOON)
    event.wait()
    assert not timer.done()
    assert timer.cancel() is True
    assert timer.cancel() is False
    assert timer.done()
    count = len(calls)
    sleep(3 * SOON)
    assert len(calls) <= count + 1
    assert calls[4] - start >= 4 * SOON


def test_cancelled_before_its_time_a_timer_makes_no_call() -> None:
    calls: list[int] = []
    timer = Timer(SOON, calls.append, 1, interval=SOON)
    assert timer.cancel() is True
    sleep(3 * SOON)
    assert calls == []


def test_calls_do_not_pile_up() -> None:
    release = Event()
    running = Event()
    calls: list[int] = []

    def slow() -> None:
        calls.append(1)
        running.set()
        release.wait()

    timer = Timer(0, slow, interval=0.0005)
    running.wait()
    sleep(0.02)
    assert calls == [1]
    timer.cancel()
    release.set()


def test_late_calls_are_left_out() -> None:
    timer = Timer(LONG, int, interval=1.0)
    first = math.floor(time.monotonic()) + LONG  # so that nobody but us fires it
    timer._deadline = first
    timer._fire(first + 5.5)
    assert timer._deadline == first + 6
    timer._fire(first + 6)
    assert timer._deadline == first + 7
    timer.cancel()


@pytest.mark.parametrize("interval", [5e-324, sys.float_info.min, 1e-9, 1e-6])
def test_an_interval_may_be_shorter_than_the_clock_can_tell(interval: float) -> None:
    innocent = spawn_later(0.02, int)
    calls: list[int] = []
    timer = Timer(SOON, calls.append, 1, interval=interval)
    assert fetch(innocent, 60) == 0
    until(lambda: len(calls) >= 3)
    assert fetch(taskrt.spawn(int)) == 0  # others have their turns
    assert timer.cancel() is True


@pytest.mark.parametrize("when", ["at once", "again"])
def test_a_timer_that_cannot_be_started_ends_alone(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bad(Timer):
        def _fire(self, now: float) -> None:
            if when == "again":
                super()._fire(now)
            if not self.done():
                raise MemoryError("none left")

    reports: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    innocent, again = spawn_later(0.02, int), Event()
    good = Timer(0, again.set, interval=0.015)
    bad = Bad(SOON, int, interval=0.001)
    assert fetch(innocent) == 0
    again.clear()
    assert again.wait(5)
    assert good.cancel() is True
    assert bad.done()
    assert [str(report.exc_value) for report in reports] == ["none left"]


def test_a_timer_cancels_itself() -> None:
    event = Event()

    def call() -> None:
        assert timer.cancel() is True
        event.set()

    timer = Timer(SOON, call, interval=SOON)
    assert event.wait()
    assert timer.done()


def test_a_call_that_fails_is_reported_and_the_next_one_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[object] = []
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ValueError

    monkeypatch.setattr("sys.unraisablehook", reports.append)
    timer = Timer(0, fail, interval=SOON)
    until(lambda: len(reports) >= 2)
    timer.cancel()
    assert timer._running is not None
    wait(timer._running)  # one may just have begun
    until(lambda: len(reports) == len(calls))


def test_calls_are_tasks_and_see_the_context() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen: list[object] = []

    def call() -> None:
        seen.append((variable.get(), taskrt.current_task() is not None))
        variable.set("changed")

    token = variable.set("at the start")
    timer = Timer(0, call, interval=SOON)
    variable.reset(token)
    until(lambda: len(seen) >= 3)
    timer.cancel()
    assert set(seen) == {("at the start", True)}


@pytest.mark.parametrize("interval", [0, -1, math.nan])
def test_wrong_intervals(interval: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        Timer(0, int, interval=interval)


def test_a_timer_that_is_over_dies() -> None:
    timer = Timer(0, int)
    alive = weakref.ref(timer)
    until(timer.done)
    del timer
    until(lambda: gc.collect() is not None and alive() is None)
