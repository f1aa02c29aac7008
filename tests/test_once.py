"""once(): one call, whoever comes, and no deadlock where it runs parallel code."""

from __future__ import annotations

import pytest
from support.crowd import crowd
from support.gates import here, pinned, until, until_suspended

from taskrt import (
    CancelledError,
    DeadlockError,
    Event,
    Once,
    Task,
    TaskLostError,
    cancel_requested,
    fetch,
    once,
    spawn,
    wait,
    yield_now,
)


def test_all_get_the_value_of_one_call(threads: int) -> None:
    calls: list[int] = []

    @once
    def value() -> object:
        calls.append(1)
        for _ in range(5):
            yield_now()
        return object()

    got: list[object] = []
    crowd(lambda _: got.append(value()), tasks=8, threads=3)
    assert len(calls) == 1
    assert len(set(map(id, got))) == 1
    assert value() is got[0]


def test_it_looks_like_the_function() -> None:
    @once
    def settings() -> int:
        """Read them."""
        return 1

    assert isinstance(settings, Once)
    assert settings.__doc__ == "Read them."
    assert settings.__name__ == "settings"  # type: ignore[attr-defined]
    assert repr(settings).endswith(": not done>")
    assert settings() == 1
    assert repr(settings).endswith(": done>")


def test_none_is_a_value() -> None:
    calls: list[None] = []
    value = once(lambda: calls.append(None))
    assert (value(), value()) == (None, None)
    assert calls == [None]


def test_tasks_that_the_function_waits_beside_may_call_it(threads: int) -> None:
    """Its thread runs them while it waits: they wait aside, and not on top of it."""

    def user() -> int:
        return value()

    @once
    def value() -> int:
        until_suspended(*users)
        return sum(fetch(spawn(pow, n, 2)) for n in range(10))

    users = [pinned(user) for _ in range(5)]
    assert fetch(pinned(value)) == 285
    assert [fetch(task) for task in users] == [285] * 5


def test_a_function_that_needs_itself_is_told() -> None:
    @once
    def direct() -> int:
        return direct()

    @once
    def by_a_task() -> int:
        return fetch(pinned(by_a_task))

    @once
    def by_another() -> int:
        task = spawn(by_another)
        task.defuse()
        until_suspended(task)
        return fetch(task)

    for value in (direct, by_a_task, by_another):
        with pytest.raises(DeadlockError, match="once"):
            value()
        with pytest.raises(DeadlockError, match="once"):
            fetch(spawn(value))


def test_after_an_error_the_next_caller_tries_again(threads: int) -> None:
    calls: list[int] = []

    @once
    def value() -> int:
        calls.append(1)
        if len(calls) == 1:
            until(lambda: len(others) == 3)
            until_suspended(*others)
        if len(calls) < 3:
            raise LookupError(len(calls))
        return 7

    others: list[Task[int]] = []
    first = pinned(value)
    until(lambda: calls or first.done())
    others.extend(pinned(value) for _ in range(3))
    for task in (first, *others):
        with pytest.raises(LookupError, match="1"):
            fetch(task)
    with pytest.raises(LookupError, match="2"):
        value()
    assert (value(), value()) == (7, 7)
    assert len(calls) == 3


def test_a_caller_that_is_cancelled_leaves_it_to_the_others(threads: int) -> None:
    begun, go = Event(), Event()

    @once
    def value() -> bool:
        begun.set()
        go.wait()
        return cancel_requested()

    runner = spawn(value)
    begun.wait()
    others = [spawn(value) for _ in range(2)]
    until_suspended(*others)
    others[0].cancel()
    wait(others[0])
    assert others[0].cancelled()
    runner.cancel()  # has it on its stack, and so runs it to its end
    go.set()
    assert fetch(others[1]) is False
    wait(runner)


def test_a_function_that_is_cancelled_is_tried_again() -> None:
    @once
    def value() -> int:
        tasks.append(here())
        if len(tasks) == 1:
            here().cancel()
            yield_now()
        return 7

    tasks: list[Task[object]] = []
    with pytest.raises(CancelledError):
        value()
    assert value() == 7
    assert "once" in tasks[0].name


def test_an_error_of_lost_tasks_is_passed_on() -> None:
    @once
    def value() -> int:
        raise TaskLostError("somebody else's")

    with pytest.raises(TaskLostError, match="somebody"):
        value()
