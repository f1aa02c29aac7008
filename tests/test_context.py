"""What a task inherits: context variables, and what must not leak between tasks."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import Gate, pinned, until_suspended

from taskrt import Spawner, Task, fetch, spawn, wait

var: contextvars.ContextVar[object] = contextvars.ContextVar("var")
trail: contextvars.ContextVar[tuple[int, ...]] = contextvars.ContextVar(
    "trail", default=()
)


@pytest.fixture(autouse=True)
def in_a_context_of_its_own() -> object:
    token = var.set("outside")
    yield
    var.reset(token)


def change(value: object) -> object:
    var.set(value)
    return var.get()


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "inline"])
def test_child_sees_what_the_spawner_saw_at_the_spawn(
    spawner: Callable[..., Task[Any]],
) -> None:
    var.set("at the spawn")
    task = spawner(var.get)
    var.set("later")
    assert fetch(task) == "at the spawn"
    assert var.get() == "later"


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "inline"])
def test_what_a_child_sets_stays_with_it(spawner: Callable[..., Task[Any]]) -> None:
    tasks = [spawner(change, i) for i in range(20)]
    assert [fetch(t) for t in tasks] == list(range(20))
    assert var.get() == "outside"


def test_a_failing_child_leaves_no_trace() -> None:
    def fail() -> None:
        var.set("inside")
        raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            fetch(pinned(fail))
        assert var.get() == "outside"


def test_grandchildren_inherit_in_turn() -> None:
    def descend(depth: int) -> tuple[int, ...]:
        trail.set((*trail.get(), depth))
        return fetch(spawn(descend, depth - 1)) if depth else trail.get()

    assert fetch(spawn(descend, 5)) == (5, 4, 3, 2, 1, 0)
    assert trail.get() == ()


def test_context_survives_suspension() -> None:
    def hold(task: Task[object], value: object) -> object:
        token = var.set(value)
        fetch(task)
        kept = var.get()
        var.reset(token)
        return kept, var.get()

    with Gate() as gate:
        tasks = [spawn(hold, gate.task, i) for i in range(30)]
        until_suspended(*tasks)
        assert var.get() == "outside"
        var.set("changed")
        gate.open()
        assert [fetch(t) for t in tasks] == [(i, "outside") for i in range(30)]
    assert var.get() == "changed"


def test_parent_keeps_its_context_while_an_inline_child_suspends() -> None:
    def child(task: Task[object]) -> object:
        var.set("child")
        fetch(task)
        return var.get()

    def parent(task: Task[object]) -> object:
        var.set("parent")
        seen = fetch(pinned(child, task))
        return seen, var.get()

    with Gate() as gate:
        tasks = [spawn(parent, gate.task) for _ in range(10)]
        gate.open()
        assert [fetch(t) for t in tasks] == [("child", "parent")] * 10


def test_callbacks_do_not_see_the_tasks_context() -> None:
    seen = []
    with Gate() as gate:
        gate.task.add_done_callback(lambda _: seen.append(var.get(None)))

        def hold() -> None:
            var.set("inside")
            fetch(gate.task)

        task = spawn(hold)
        until_suspended(task)
        gate.close()
        fetch(task)
    assert seen != ["inside"]


def test_foreign_threads_have_contexts_of_their_own() -> None:
    seen = []

    def run() -> None:
        seen.append(fetch(spawn(var.get, "nothing")))
        var.set("thread")
        seen.append(fetch(spawn(var.get)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen[1] == "thread"
    assert var.get() == "outside"


# --- context= -------------------------------------------------------------------------


def test_given_context_is_the_one_the_task_runs_in() -> None:
    context = contextvars.copy_context()
    context.run(var.set, "given")
    assert fetch(Spawner(context=context)(var.get)) == "given"
    assert var.get() == "outside"


def test_no_context_means_an_empty_one() -> None:
    assert fetch(Spawner(context=None)(var.get, "empty")) == "empty"
    assert fetch(Spawner(context=None)(lambda: len(contextvars.copy_context()))) == 0


def test_given_context_keeps_what_the_task_sets() -> None:
    context = contextvars.copy_context()
    for i in range(3):
        fetch(Spawner(context=context)(var.set, i))
        assert context[var] == i
    assert var.get() == "outside"


def test_one_context_cannot_be_entered_by_two_tasks_at_once() -> None:
    context = contextvars.copy_context()
    spawner = Spawner(context=context)
    with Gate() as gate:
        first = spawner(fetch, gate.task)
        until_suspended(first)
        with pytest.raises(RuntimeError, match="context"):
            fetch(spawner(int))
        gate.open()
        assert fetch(first) is None
    assert fetch(spawner(int)) == 0


# --- who else keeps state in contexts -------------------------------------------------


def test_decimal_precision_follows_the_task() -> None:
    def third() -> str:
        return str(decimal.Decimal(1) / decimal.Decimal(3))

    def own(task: Task[object], digits: int) -> object:
        with decimal.localcontext() as context:
            context.prec = digits
            fetch(task)
            return third()

    with decimal.localcontext() as context:
        context.prec = 3
        assert fetch(spawn(third)) == "0.333"
        with Gate() as gate:
            tasks = [spawn(own, gate.task, n) for n in range(1, 20)]
            until_suspended(*tasks)
            assert third() == "0.333"
            gate.open()
            got = [fetch(t) for t in tasks]
        assert got == ["0." + "3" * n for n in range(1, 20)]


def test_a_task_run_inside_an_event_loop_may_run_one_of_its_own() -> None:
    async def answer() -> object:
        await asyncio.sleep(0)
        return 42

    def with_a_loop() -> object:
        return asyncio.run(answer())

    async def main() -> object:
        loop = asyncio.get_running_loop()
        got = fetch(pinned(with_a_loop))
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        return got

    assert asyncio.run(main()) == 42


def test_a_task_in_an_event_loop_suspends_without_its_loop_leaking() -> None:
    def no_loop(task: Task[object]) -> object:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        fetch(task)
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return "none"

    async def main() -> object:
        loop = asyncio.get_running_loop()
        with Gate() as gate:
            tasks = [pinned(no_loop, gate.task) for _ in range(3)]
            until_suspended(*tasks)
            assert asyncio.get_running_loop() is loop
            gate.open()
            return [fetch(t) for t in tasks]

    assert asyncio.run(main()) == ["none"] * 3


def test_logging_works_in_tasks(caplog: pytest.LogCaptureFixture) -> None:
    def log(i: int) -> None:
        logging.getLogger("tasks").warning("from %d", i)

    with caplog.at_level(logging.WARNING, "tasks"):
        wait(*[spawn(log, i) for i in range(50)])
    records = [r for r in caplog.records if r.name == "tasks"]
    assert sorted(r.getMessage() for r in records) == sorted(
        f"from {i}" for i in range(50)
    )
    assert all(isinstance(r.threadName, str) and r.threadName for r in records)


def test_current_thread_answers_in_a_task() -> None:
    tasks = [spawn(lambda: threading.current_thread().name) for _ in range(50)]
    assert all(isinstance(name, str) and name for name in map(fetch, tasks))
    assert fetch(pinned(threading.current_thread)) is threading.current_thread()
