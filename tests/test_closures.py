"""TASKRT_DEBUG=closures: a task tells of variables that were bound anew before it."""

from __future__ import annotations

import functools
import gc
import inspect
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import taskrt
from taskrt import (
    Spawner,
    Task,
    TaskGroup,
    fetch,
    join,
    spawn,
    spawn_after,
    spawn_later,
    wait,
    yield_now,
)

Spawn = Callable[..., Task[Any]]


@pytest.fixture(autouse=True)
def log(
    monkeypatch: pytest.MonkeyPatch, set_num_threads: Callable[[int], object]
) -> Iterator[list[warnings.WarningMessage]]:
    """Give the warnings of the test. One thread: a task starts when the test waits."""
    taskrt.shutdown()
    monkeypatch.setenv("TASKRT_DEBUG", "closures")
    set_num_threads(1)
    with warnings.catch_warnings(record=True) as entries:
        warnings.simplefilter("always")
        yield entries
        taskrt.shutdown()
    monkeypatch.undo()


def in_group(body: Callable[[Spawn], None]) -> None:
    with TaskGroup() as group:
        body(group.spawn)


def with_spawner(spawner: Spawn) -> Callable[[Callable[[Spawn], None]], None]:
    return lambda body: body(spawner)


# What calls a function with a way to spawn, and waits for what that has spawned.
WAYS: dict[str, Callable[[Callable[[Spawn], None]], None]] = {
    "spawn": with_spawner(spawn),
    "Spawner": with_spawner(Spawner(name="named")),
    "pinned": with_spawner(Spawner(pinned=True)),
    "TaskGroup.spawn": in_group,
    "spawn_after": with_spawner(functools.partial(spawn_after, ())),
    "spawn_later": with_spawner(functools.partial(spawn_later, 0)),
}
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
def test_lambda_in_a_loop(way: str, log: list[warnings.WarningMessage]) -> None:
    got: list[int] = []
    first = lines = 0

    def loop(spawner: Spawn) -> None:
        nonlocal first, lines
        first = inspect.stack()[0].lineno
        tasks: list[Task[int]] = []
        for i in range(3):
            tasks.append(spawner(lambda: i))
        got.extend(fetch(task) for task in tasks)

    WAYS[way](loop)
    assert got == [2, 2, 2]
    assert len(log) == 2  # the last task has got its own
    for entry in log:
        assert entry.category is RuntimeWarning
        assert (entry.filename, entry.lineno) == (__file__, first + 3)
        message = str(entry.message)
        assert message.startswith("'i' of test_lambda_in_a_loop.<locals>.loop")
        assert f"{__file__}:{first + 3}" in message
        assert "pass it as an argument: spawn(fn, i)" in message


@every_way
def test_an_argument_is_evaluated_at_the_spawn(
    way: str, log: list[warnings.WarningMessage]
) -> None:
    got: list[int] = []

    def loop(spawner: Spawn) -> None:
        tasks = [spawner(lambda n: n, i) for i in range(3)]
        got.extend(fetch(task) for task in tasks)

    WAYS[way](loop)
    assert got == [0, 1, 2]
    assert log == []


@every_way
def test_a_variable_that_stays(way: str, log: list[warnings.WarningMessage]) -> None:
    def body(spawner: Spawn) -> None:
        items = [1]
        task = spawner(lambda: sum(items))
        items.append(2)  # another value, the same object
        assert fetch(task) == 3

    WAYS[way](body)
    assert log == []


def test_the_loop_of_a_group_that_is_left_first() -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        results: list[object]
        with TaskGroup() as group:
            for i in range(2):
                group.spawn(lambda: i)
        results = group.results
    assert results == [1, 1]
    assert len(found) == 1


def test_functions_that_taskrt_spawns_itself(
    log: list[warnings.WarningMessage],
) -> None:
    """The warning is for the line of the program, not for one of taskrt."""
    value = 1

    def rebinds() -> None:
        nonlocal value
        value = 2

    line = inspect.stack()[0].lineno + 1
    assert join(rebinds, lambda: value) == (None, 2)
    (entry,) = log
    assert (entry.filename, entry.lineno) == (__file__, line)


def test_several_variables_are_named_in_one_warning(
    log: list[warnings.WarningMessage],
) -> None:
    a, b, c = object(), object(), object()
    task = spawn(lambda: (a, b, c))
    a, c = object(), object()
    assert fetch(task) == (a, b, c)
    (entry,) = log
    assert str(entry.message).startswith("'a' and 'c' of ")
    assert str(entry.message).endswith("spawn(fn, a, c)")


def test_equal_is_not_the_same(log: list[warnings.WarningMessage]) -> None:
    value = [1]
    task = spawn(lambda: value)
    value = [1]
    assert fetch(task) is value
    assert len(log) == 1


def test_a_variable_that_was_deleted(log: list[warnings.WarningMessage]) -> None:
    value = 1
    task = spawn(lambda: value)  # noqa: F821 - deleted below
    del value
    assert isinstance(task.exception(), NameError)
    assert "'value'" in str(log[0].message)


def test_a_first_value_that_comes_after_the_spawn(
    log: list[warnings.WarningMessage],
) -> None:
    task = spawn(lambda: (task, late()))

    def late() -> int:
        return 5

    assert fetch(task) == (task, 5)
    assert log == []


def test_what_changes_after_the_start(log: list[warnings.WarningMessage]) -> None:
    value = 1

    def body() -> int:
        before = value
        yield_now()
        return before

    task = Spawner(pinned=True)(body)
    wait(task, timeout=0.0)
    while task.state == "pending":
        yield_now()
    value = 2
    assert fetch(task) == 1
    assert log == []


class Counter:
    def make(self) -> Callable[[], int]:
        return self.count

    def count(self) -> int:
        return 1


def module_function() -> int:
    return 1


def test_callables_without_a_closure(log: list[warnings.WarningMessage]) -> None:
    for fn in (
        module_function,
        int,
        Counter().count,
        functools.partial(int, 1),
        Counter,
    ):
        fetch(spawn(fn))
    assert log == []


def partial_of(fn: Callable[..., Any]) -> Callable[[], Any]:
    return functools.partial(functools.partial(fn, 1), 2)


def method_of(fn: Callable[..., Any]) -> Callable[[], Any]:
    class Owner:
        def method(self) -> object:
            return fn(self, 2)

    return Owner().method


def bound_of(fn: Callable[..., Any]) -> Callable[[], Any]:
    return functools.partial(fn.__get__(1), 2)


def static_of(fn: Callable[..., Any]) -> Callable[[], Any]:
    return functools.partial(staticmethod(fn), 1, 2)


@pytest.mark.parametrize("wrap", [partial_of, bound_of, static_of])
def test_wrapped_functions_are_looked_into(
    wrap: Callable[[Callable[..., Any]], Callable[[], Any]],
    log: list[warnings.WarningMessage],
) -> None:
    value = 1
    task = spawn(wrap(lambda a, b: value))
    value = 2
    assert fetch(task) == 2
    assert len(log) == 1


def test_a_closure_within_a_closure_is_looked_at_as_it_is(
    log: list[warnings.WarningMessage],
) -> None:
    """The variable of the outer function still has the same function in it."""
    value = 1
    task = spawn(method_of(lambda a, b: value))
    value = 2
    assert fetch(task) == 2
    assert log == []


def test_as_errors_warnings_fail_the_task(log: list[warnings.WarningMessage]) -> None:
    value = 1
    ran: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = spawn(lambda: ran.append(value))
        value = 2
        with pytest.raises(RuntimeWarning, match="'value'"):
            fetch(task)
    assert ran == []


def test_by_default_a_place_warns_once() -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        tasks = [spawn(lambda: i) for i in range(5)]
        wait(*tasks)
    assert len(found) == 1


def test_the_task_is_what_it_would_be(log: list[warnings.WarningMessage]) -> None:
    """Its name, its arguments, its traceback and its notes."""
    seen: list[object] = []
    value = 1

    def fails(a: int, *, b: int) -> None:
        seen.extend([a, b, value])
        raise ValueError("on purpose")

    task = Spawner(name="culprit")(fails, 1, b=2)
    assert repr(task) == "<Task culprit pending>"
    with pytest.raises(ValueError, match="on purpose") as caught:
        fetch(task)
    assert seen == [1, 2, 1]
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names == ["test_the_task_is_what_it_would_be", "fails"]
    (note,) = caught.value.__notes__
    assert note.startswith(f"in task culprit, spawned at {__file__}:")
    assert log == []


class Thing:
    pass


@pytest.mark.parametrize("how", ["run", "cancel"])
def test_values_are_let_go(how: str, log: list[warnings.WarningMessage]) -> None:
    """Those that a variable had at the spawn: when the task starts, or never will."""
    held: list[bool] = []
    value: object = Thing()
    watch = weakref.ref(value)

    def body() -> None:
        gc.collect()
        held.append(watch() is not None)
        _ = value

    task = spawn(body)
    value = None
    assert watch() is not None
    if how == "cancel":
        task.cancel()
    wait(task)
    gc.collect()
    assert watch() is None
    assert held == ([False] if how == "run" else [])
    assert len(log) == (how == "run")


def test_the_note_tells_where_the_program_has_spawned() -> None:
    """Not the place in taskrt that does it on its behalf."""
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(int, "x")
    (note,) = caught.value.exceptions[0].__notes__
    assert f"spawned at {__file__}:" in note


def test_nothing_is_looked_at_without_the_setting(
    monkeypatch: pytest.MonkeyPatch, log: list[warnings.WarningMessage]
) -> None:
    taskrt.shutdown()
    monkeypatch.setenv("TASKRT_DEBUG", "1")
    value = 1
    task = spawn(lambda: value)
    value = 2
    assert fetch(task) == 2
    assert log == []
