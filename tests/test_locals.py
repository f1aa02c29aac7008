"""TaskLocal: a variable of which each task has its own."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from support.gates import Gate, join, pinned, until

import taskrt
from taskrt import Spawner, TaskLocal, fetch, sleep, spawn, wait

pytestmark = pytest.mark.usefixtures("threads")


def test_each_task_has_its_own() -> None:
    local: TaskLocal[int] = TaskLocal()

    def body(n: int) -> int:
        local.set(n)
        sleep(0.001)
        return local.get()

    tasks = [spawn(body, n) for n in range(50)]
    assert [fetch(task) for task in tasks] == list(range(50))


def test_it_is_not_inherited() -> None:
    local: TaskLocal[str] = TaskLocal(lambda: "default")
    local.set("main's")

    def parent() -> tuple[str, str]:
        before = local.get()
        local.set("the parent's")
        return before, fetch(pinned(local.get))

    assert fetch(spawn(parent)) == ("default", "default")
    assert local.get() == "main's"


def test_a_task_that_runs_as_a_call_has_its_own() -> None:
    local: TaskLocal[str] = TaskLocal(lambda: "default")

    def parent() -> tuple[str, str, str]:
        local.set("the parent's")
        child = fetch(pinned(lambda: (local.get(), local.set("child's"))[0]))
        return child, local.get(), fetch(pinned(local.get))

    assert fetch(spawn(parent)) == ("default", "the parent's", "default")


def test_without_a_value_or_default_it_raises() -> None:
    local: TaskLocal[int] = TaskLocal()
    with pytest.raises(LookupError, match="set one first"):
        local.get()
    with pytest.raises(LookupError):
        fetch(spawn(local.get))


def test_the_default_is_made_once_a_task() -> None:
    local: TaskLocal[list[int]] = TaskLocal(list)

    def body() -> list[int]:
        local.get().append(1)
        local.get().append(2)
        return local.get()

    assert fetch(spawn(body)) == [1, 2]
    assert fetch(spawn(body)) == [1, 2]


def test_outside_of_tasks_each_thread_has_its_own() -> None:
    local: TaskLocal[str] = TaskLocal(lambda: "default")
    local.set("main's")
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(local.get()))
    thread.start()
    join(thread)
    assert answers == ["default"]
    assert local.get() == "main's"
    assert fetch(Spawner(pinned=True)(local.get)) == "default"


def test_values_may_be_none_and_locals_are_apart() -> None:
    one: TaskLocal[object] = TaskLocal(lambda: "one")
    other: TaskLocal[object] = TaskLocal(lambda: "other")

    def body() -> object:
        one.set(None)
        return one.get(), other.get()

    assert fetch(spawn(body)) == (None, "other")


class Value:
    pass


def test_values_go_when_the_task_ends() -> None:
    local: TaskLocal[Value] = TaskLocal(Value)
    tasks = [spawn(lambda: weakref.ref(local.get())) for _ in range(10)]
    alive = [fetch(task) for task in tasks]
    until(lambda: gc.collect() is not None and not any(ref() for ref in alive))
    assert all(task.done() for task in tasks)


def test_values_go_when_the_task_fails() -> None:
    local: TaskLocal[Value] = TaskLocal(Value)
    alive: list[weakref.ref[Value]] = []

    def body() -> None:
        alive.append(weakref.ref(local.get()))
        raise ValueError

    task = spawn(body)
    wait(task)
    task.defuse()
    until(lambda: gc.collect() is not None and alive[0]() is None)


def test_a_suspended_task_keeps_its_value() -> None:
    local: TaskLocal[str] = TaskLocal(lambda: "default")

    def body(gate: Gate) -> str:
        local.set("kept")
        fetch(gate.task)
        return local.get()

    with Gate() as gate:
        task = spawn(body, gate)
        until(lambda: task.state == "suspended")
        assert fetch(spawn(local.get)) == "default"
        gate.open()
        assert fetch(task) == "kept"


def test_the_default_must_be_callable() -> None:
    with pytest.raises(TypeError, match="default_factory"):
        TaskLocal(5)  # type: ignore[arg-type]


def test_it_is_generic() -> None:
    assert taskrt.TaskLocal[int] is not None
