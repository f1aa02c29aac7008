"""join and race: callables in parallel, as one call."""

from __future__ import annotations

import gc
import signal
import threading

import pytest
from support.ends import fail
from support.gates import until, until_suspended

import taskrt
from taskrt import (
    Cancelled,
    CancelScope,
    checkpoint,
    fetch,
    join,
    move_on_after,
    race,
    sleep,
    spawn,
    wait,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002
NEVER = 1e6


# --- join -----------------------------------------------------------------------------


def test_join_returns_what_they_return() -> None:
    assert join() == ()
    assert join(int) == (0,)
    assert join(int, float, str, list) == (0, 0.0, "", [])


def test_the_first_runs_here() -> None:
    me = taskrt.current_task()
    where = threading.get_ident()
    first, other = join(
        lambda: (taskrt.current_task(), threading.get_ident()), taskrt.current_task
    )
    assert first == (me, where)
    assert other is not me


def test_join_nests() -> None:
    def fib(n: int) -> int:
        if n < 2:
            return n
        return sum(join(lambda: fib(n - 1), lambda: fib(n - 2)))

    assert fib(14) == 377
    assert fetch(spawn(fib, 12)) == 144


def test_all_are_waited_for_when_one_fails() -> None:
    trail: list[str] = []
    event = Event()

    def slow() -> None:
        event.wait()
        trail.append("slow")

    def first() -> None:
        event.set()
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        join(first, slow)
    assert trail == ["slow"]


def test_the_lowest_index_wins_and_notes_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    error = ValueError("lowest")
    with pytest.raises(ValueError) as caught:
        join(int, lambda: fail(error), lambda: fail(KeyError("other")))
    assert caught.value is error
    assert any("KeyError('other')" in note for note in error.__notes__)
    with pytest.raises(OSError, match="own") as own:
        join(lambda: fail(OSError("own")), lambda: fail(KeyError("other")))
    assert any("KeyError('other')" in note for note in own.value.__notes__)
    gc.collect()
    fetch(spawn(int))
    assert reports == []


def test_a_cancelled_join_cancels_and_waits() -> None:
    trail: list[object] = []

    def wait_for_ever() -> None:
        trail.append("in")
        try:
            Event().wait()
        finally:
            trail.append("out")

    task = spawn(join, wait_for_ever, wait_for_ever, wait_for_ever)
    until(lambda: "in" in trail)
    task.cancel()
    wait(task)
    assert task.cancelled()
    assert trail.count("in") == trail.count("out")
    with move_on_after(SOON) as scope:
        join(int, lambda: sleep(NEVER))
    assert scope.cancelled_caught


def test_a_cancelled_of_its_own_passes() -> None:
    with pytest.raises(Cancelled):
        join(lambda: fail(Cancelled()), int)
    checkpoint()


def test_ctrl_c_in_a_join() -> None:
    with pytest.raises(KeyboardInterrupt):
        join(lambda: signal.raise_signal(signal.SIGINT), lambda: sleep(NEVER))


def test_join_takes_callables() -> None:
    with pytest.raises(TypeError, match="join"):
        join(int, 5)  # type: ignore[call-overload]


# --- race -----------------------------------------------------------------------------


def test_the_first_value_wins() -> None:
    assert race(lambda: "only") == "only"
    trail: list[object] = []

    def slow() -> object:
        try:
            return sleep(NEVER)
        finally:
            trail.append("out")

    assert race(slow, lambda: "won", slow) == "won"
    assert trail in ([], ["out"], ["out", "out"])


def test_the_others_have_ended_when_it_returns() -> None:
    trail: list[object] = []
    started = Event()

    def slow() -> None:
        try:
            started.set()
            Event().wait()
        finally:
            with CancelScope(shield=True):
                sleep(SOON)
            trail.append("out")

    assert race(slow, started.wait) is True
    assert trail == ["out"]


def test_a_failure_does_not_win() -> None:
    assert race(lambda: fail(ValueError()), lambda: (sleep(SOON), "won"))[1] == "won"


def test_if_all_fail_all_errors_are_raised() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        race(
            lambda: fail(ValueError()),
            lambda: (sleep(SOON), fail(KeyError())),
            lambda: fail(OSError()),
        )
    kinds = [type(error) for error in caught.value.exceptions]
    assert kinds == [ValueError, KeyError, OSError]


def test_a_cancelled_race_cancels_all() -> None:
    with move_on_after(SOON) as scope:
        race(lambda: sleep(NEVER), lambda: sleep(NEVER))
        pytest.fail("not reached")
    assert scope.cancelled_caught
    task = spawn(race, Event().wait, Event().wait)
    until_suspended(task)
    task.cancel()
    wait(task)
    assert task.cancelled()


def test_losers_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)

    def lose() -> None:
        try:
            Event().wait()
        finally:
            raise KeyError

    race(lose, lambda: fail(ValueError()), lambda: sleep(SOON))
    gc.collect()
    fetch(spawn(int))
    assert reports == []


def test_a_race_needs_somebody() -> None:
    with pytest.raises(ValueError, match="nobody"):
        race()
    with pytest.raises(TypeError, match="race"):
        race(int, 5)  # type: ignore[arg-type]
