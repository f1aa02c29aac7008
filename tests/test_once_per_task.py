"""OncePerTask: a function that is called one time in each task."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from support.gates import join, pinned, until

from taskrt import Cancelled, DeadlockError, OncePerTask, fetch, sleep, spawn, wait
from taskrt import current_task as here

pytestmark = pytest.mark.usefixtures("threads")


class Value:
    """Something that a weak reference can point to."""


def test_each_task_calls_it_once() -> None:
    calls: list[object] = []

    @OncePerTask
    def value() -> Value:
        calls.append(here())
        sleep(0.0001)
        return Value()

    def body() -> Value:
        first = value()
        sleep(0.0001)
        assert value() is first
        return first

    tasks = [spawn(body) for _ in range(20)]
    assert len({fetch(task) for task in tasks}) == 20
    assert len(calls) == 20
    assert set(calls) == set(tasks)


def test_a_task_that_runs_as_a_call_has_its_own() -> None:
    value = OncePerTask(Value)

    def parent() -> tuple[Value, Value, Value]:
        return value(), fetch(pinned(value)), value()

    mine, childs, mine_again = fetch(spawn(parent))
    assert mine is mine_again is not childs


def test_each_thread_outside_of_tasks_has_its_own() -> None:
    value = OncePerTask(Value)
    others: list[Value] = []
    thread = threading.Thread(target=lambda: others.extend([value(), value()]))
    thread.start()
    join(thread)
    assert others[0] is others[1] is not value()
    assert value() is value()


def test_two_of_one_function_do_not_share() -> None:
    a, b = OncePerTask(Value), OncePerTask(Value)
    assert a() is a() is not b()


def test_none_is_a_value() -> None:
    calls: list[int] = []
    value = OncePerTask(lambda: calls.append(1))
    assert [value() for _ in range(3)] == [None] * 3
    assert calls == [1]


def test_after_an_error_the_next_call_tries_again() -> None:
    calls: list[int] = []

    @OncePerTask
    def value() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError("the first time")
        return len(calls)

    def body() -> int:
        with pytest.raises(LookupError):
            value()
        return value()

    assert fetch(spawn(body)) == 2


def test_after_a_cancellation_too() -> None:
    @OncePerTask
    def value() -> str:
        sleep(60)
        return "late"

    entered: list[object] = []

    def body() -> None:
        try:
            entered.append(here())
            value()
        finally:
            with pytest.raises(Cancelled):  # and no DeadlockError
                value()

    task = spawn(body)
    until(lambda: entered)
    task.cancel()
    wait(task)
    assert task.cancelled()


def test_that_asks_for_its_own_value_gets_an_error() -> None:
    ask: list[Callable[[], object]] = []
    value = OncePerTask(lambda: ask[0]())
    ask.append(value)
    for call in (value, lambda: fetch(spawn(value))):
        with pytest.raises(DeadlockError, match="needs its own value"):
            call()
    ask[0] = lambda: "at last"
    assert value() == "at last"


def test_one_that_needs_another_tasks_value() -> None:
    @OncePerTask
    def value() -> int:
        return 0 if depth.pop() == 0 else 1 + fetch(spawn(value))

    depth = [0, 1, 2, 3]
    assert value() == 3


def test_values_go_with_their_tasks_and_with_the_callable() -> None:
    refs: list[weakref.ref[Value]] = []
    values = [OncePerTask(Value)]

    def body() -> None:
        refs.append(weakref.ref(values[0]()))

    fetch(spawn(body))
    body()
    until(lambda: gc.collect() or refs[0]() is None)
    assert refs[1]() is values[0]()
    values.clear()
    until(lambda: gc.collect() or refs[1]() is None)


def test_looks_and_refusals() -> None:
    def named() -> None:
        """Do nothing."""

    once = OncePerTask(named)
    assert once.__name__ == "named"  # type: ignore[attr-defined]
    assert once.__doc__ == "Do nothing."
    assert repr(once).startswith("<taskrt.OncePerTask of <function")
    with pytest.raises(TypeError, match="callable"):
        OncePerTask(1)  # type: ignore[arg-type]
