"""Task(fn, ...): it runs once it is scheduled, or somebody waits for it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from support.child import run_script
from support.gates import until
from support.places import Place

import taskrt
from taskrt import (
    CancelledError,
    Task,
    as_completed,
    fetch,
    fetch_all,
    select,
    spawn_after,
    wait,
    wait_all,
    wait_any,
)

pytestmark = pytest.mark.usefixtures("threads")

WAITS: dict[str, Callable[[Task[int]], object]] = {
    "fetch": fetch,
    "fetch_in_time": lambda task: fetch(task, timeout=60),
    "wait": wait,
    "result": lambda task: task.result(),
    "exception": lambda task: task.exception(),
    "wait_any": lambda task: wait_any([task]),
    "wait_all": lambda task: wait_all([task]),
    "fetch_all": lambda task: fetch_all([task]),
    "as_completed": lambda task: next(as_completed([task])),
    "select": lambda task: select(task.wait_op()),
    "spawn_after": lambda task: fetch(spawn_after(task, int)),
    "await": lambda task: asyncio.run(waits_for(task)),
}


async def waits_for(task: Task[int]) -> int:
    return await task


@pytest.mark.parametrize("how", WAITS)
def test_who_waits_for_it_has_it_run(how: str) -> None:
    ran: list[int] = []
    task = Task(lambda: ran.append(1) or 7)
    assert task.state == "pending"
    WAITS[how](task)
    assert task.done()
    assert fetch(task) == 7
    assert ran == [1]


def test_nobody_runs_it_before(run: Place) -> None:
    ran: list[int] = []

    def body() -> None:
        task = Task(ran.append, 1)
        for _ in range(10):
            taskrt.yield_now()
        fetch(taskrt.spawn(int))
        assert task.state == "pending"
        assert ran == []
        assert task.schedule() is task
        wait(task)
        assert ran == [1]

    run(body)


def test_it_runs_once_however_many_schedule_it() -> None:
    for _ in range(50):
        ran: list[int] = []
        task = Task(ran.append, 1)
        threads = [threading.Thread(target=task.schedule) for _ in range(3)]
        for thread in threads:
            thread.start()
        fetch(task)
        for thread in threads:
            thread.join()
        task.schedule()
        assert ran == [1]


def test_to_schedule_what_is_scheduled_does_nothing() -> None:
    task = taskrt.spawn(int)
    assert task.schedule() is task
    later = taskrt.spawn_later(60, int)
    assert later.schedule().state == "pending"
    later.cancel()
    assert later.schedule().cancelled()


def test_arguments_and_context_are_those_of_its_making() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    def call(*args: int, **kwargs: int) -> object:
        return args, kwargs, variable.get()

    token = variable.set("made")
    task = Task(call, 1, 2, fn=3)
    variable.reset(token)
    assert fetch(task) == ((1, 2), {"fn": 3}, "made")


def test_cancelled_before_it_never_runs() -> None:
    ran: list[int] = []
    task = Task(ran.append, 1)
    assert task.cancel("no")
    assert task.schedule().cancelled()
    with pytest.raises(CancelledError, match="no"):
        fetch(task)
    assert ran == []


def test_cancel_races_with_schedule() -> None:
    before = taskrt.stats()["live"]
    for _ in range(200):
        ran: list[int] = []
        task = Task(ran.append, 1)
        thread = threading.Thread(target=task.schedule)
        thread.start()
        task.cancel()
        thread.join()
        wait(task)
        assert task.cancelled() == (not ran)
    until(lambda: taskrt.stats()["live"] <= before)


def test_done_callbacks_do_not_schedule() -> None:
    called: list[object] = []
    task = Task(int)
    task.add_done_callback(called.append)
    assert task.state == "pending"
    fetch(task)
    until(lambda: called == [task])


def test_what_is_dropped_never_runs_and_dies() -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)
    ran: list[object] = []
    task = Task(ran.append, argument)
    before = taskrt.stats()["live"]
    del task, argument
    gc.collect()
    assert alive() is None
    assert taskrt.stats()["live"] == before
    assert ran == []


def test_a_cycle_through_it_dies() -> None:
    held: list[object] = []
    task = Task(held.append, held)
    held.append(task)
    alive = weakref.ref(task)
    del task, held
    gc.collect()
    assert alive() is None


def test_a_cycle_that_ran_dies() -> None:
    held: list[object] = []
    task = Task(lambda value: value, held)
    held.append(task)
    assert fetch(task) is held
    alive = weakref.ref(task)
    del task, held
    until(lambda: gc.collect() >= 0 and alive() is None)


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match=r"Task\(\) takes a callable and its arguments"):
        Task()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Task\(\) takes a callable first, not 'int'"):
        Task(5)  # type: ignore[arg-type]


def test_at_exit_it_holds_up_nothing() -> None:
    result = run_script(
        """
        from taskrt import Task, fetch, spawn
        fetch(spawn(int))
        kept = Task(print, "never")
        """
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
