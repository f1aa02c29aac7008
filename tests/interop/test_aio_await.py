"""await of a task in an event loop of asyncio."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from support.gates import Gate, pinned, until
from support.gates import join as join_threads

import taskrt
from taskrt import CancelledError, Event, Task, fetch, sleep, spawn, wait
from taskrt.interop import aio

SOON = 0.002
NEVER = 1e6

variable = contextvars.ContextVar("variable", default="default")


def fail(error: BaseException) -> None:
    raise error


every_size = pytest.mark.usefixtures("threads")


# --- values and errors ----------------------------------------------------------------


@every_size
def test_await_gives_the_value(run_async: Callable[..., object]) -> None:
    async def main() -> object:
        return [await spawn(pow, 2, 3), await aio.run(int, "7"), await ended]

    ended = spawn(str, "done")
    wait(ended)
    assert run_async(main()) == [8, 7, "done"]


@every_size
def test_await_raises_the_tasks_own_error() -> None:
    error = ValueError("mine")

    async def main() -> None:
        for task in (spawn(fail, error), ended):
            with pytest.raises(ValueError) as caught:
                await task
            assert caught.value is error
            assert not task.cancel()

    ended = spawn(fail, error)
    wait(ended)
    asyncio.run(main())


@every_size
def test_await_of_a_cancelled_task_is_an_ordinary_error() -> None:
    """The one that awaits was not cancelled, so it must not look like that."""

    async def main() -> None:
        with Gate() as gate:
            task = spawn(fetch, gate.task)
            asyncio.get_running_loop().call_later(SOON, task.cancel, "by somebody")
            with pytest.raises(CancelledError, match="by somebody"):
                await task

    asyncio.run(main())


@every_size
def test_loop_goes_on_meanwhile() -> None:
    async def main() -> str:
        event = Event()
        task = spawn(event.wait)
        asyncio.get_running_loop().call_later(SOON, event.set)
        assert await task
        return "done"

    assert asyncio.run(main()) == "done"


@every_size
def test_many_awaits_at_once(run_async: Callable[..., object]) -> None:
    async def main() -> object:
        return await asyncio.gather(*[spawn(lambda n=n: n) for n in range(1000)])

    assert run_async(main()) == list(range(1000))


@every_size
def test_several_await_one_task() -> None:
    async def main() -> object:
        event = Event()
        task = spawn(event.wait)
        awaits = [asyncio.ensure_future(task) for _ in range(5)]
        await asyncio.sleep(0)
        event.set()
        return await asyncio.gather(*awaits, task)

    assert asyncio.run(main()) == [True] * 6


def test_context_variables_go_into_the_task_and_not_back() -> None:
    def look() -> str:
        before = variable.get()
        variable.set("of the task")
        return before

    async def main() -> None:
        variable.set("of the coroutine")
        assert await aio.run(look) == "of the coroutine"
        assert variable.get() == "of the coroutine"

    asyncio.run(main())


def test_run_passes_all_arguments_on() -> None:
    def show(*args: object, **kwargs: object) -> object:
        return args, kwargs

    async def main() -> object:
        return await aio.run(show, 1, fn=2, loop=3)

    assert asyncio.run(main()) == ((1,), {"fn": 2, "loop": 3})


def test_await_outside_of_a_loop_says_what_to_do() -> None:
    task = spawn(int)
    with pytest.raises(RuntimeError, match=r"fetch\(task\)"):
        task.__await__().send(None)
    wait(task)


# --- cancellation ---------------------------------------------------------------------


@every_size
def test_cancelling_the_awaiter_asks_the_task_to_end(
    run_async: Callable[..., object],
) -> None:
    seen = []

    def body() -> None:
        try:
            sleep(NEVER)
        except taskrt.Cancelled as error:
            seen.append(error.args)
            raise

    async def main() -> Task[None]:
        task = spawn(body)
        awaiter = asyncio.ensure_future(task)
        await asyncio.sleep(0.0001)  # it has to have begun
        while task.state != "suspended":
            await asyncio.sleep(0.0001)
        awaiter.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await awaiter
        return task

    task = run_async(main())
    assert isinstance(task, Task)
    wait(task)
    assert task.cancelled()
    assert seen == [("enough",)]


@every_size
def test_task_that_has_not_started_never_runs() -> None:
    ran = []

    async def main() -> None:
        task = pinned(ran.append, 1)
        awaiter = asyncio.ensure_future(task)
        asyncio.get_running_loop().call_soon(awaiter.cancel)  # once it has begun
        await asyncio.wait([awaiter])
        assert awaiter.cancelled()
        assert task.cancelled()

    asyncio.run(main())
    assert ran == []


def test_cancelled_awaiter_does_not_wait_for_the_task() -> None:
    async def main() -> None:
        with Gate() as gate:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SOON):
                    await gate.task
            assert not gate.task.done()

    asyncio.run(main())


def test_shield_keeps_the_task_from_being_asked() -> None:
    async def main() -> bool:
        event = Event()
        task = spawn(event.wait)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), SOON)
        event.set()
        return await task

    assert asyncio.run(main())


def test_error_after_a_cancellation_is_reported_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: reports.append(args))

    def body() -> None:
        try:
            sleep(NEVER)
        finally:
            raise ValueError("as it ends")

    async def main() -> None:
        task = spawn(body)
        while task.state != "suspended":
            await aio.run(int)  # meanwhile others may have to start it for this thread
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, SOON)
        while not task.done():
            await aio.run(int)

    asyncio.run(main())
    gc.collect()
    until(lambda: reports)
    assert [type(report.exc_value) for report in reports] == [ValueError]


# --- loops that end, other threads ----------------------------------------------------


def test_loop_closed_meanwhile_hears_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def awaits(task: Task[object]) -> None:
        await task

    with Gate("late") as gate:
        loop = asyncio.new_event_loop()
        awaiter = loop.create_task(awaits(gate.task))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        gate.open()
        assert fetch(gate.task) == "late"
        assert not awaiter.done()
        del awaiter
        until(lambda: gc.collect() >= 0 and "destroyed but it is" in caplog.text)


@every_size
def test_loops_on_other_threads() -> None:
    answers = []

    async def main() -> None:
        answers.append(await asyncio.gather(*[spawn(int, n) for n in range(50)]))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    join_threads(*threads)
    assert answers == [list(range(50))] * 4


@every_size
def test_loop_inside_of_a_task() -> None:
    """The task keeps its thread to itself, and others run what it awaits."""

    async def main() -> object:
        return await asyncio.gather(*[spawn(int, n) for n in range(20)])

    tasks = [spawn(lambda: asyncio.run(main())) for _ in range(4)]
    assert taskrt.fetch_all(tasks) == [list(range(20))] * 4


def test_loop_inside_of_a_task_needs_no_help_of_main(
    set_num_threads: Callable[[int], object],
) -> None:
    """The loop keeps the only pool thread: another takes its place meanwhile."""
    set_num_threads(2)
    answers = []
    over = threading.Event()

    async def main() -> None:
        answers.extend(await asyncio.gather(*[spawn(int, n) for n in range(20)]))

    def body() -> None:
        asyncio.run(main())
        over.set()

    task = taskrt.Spawner(name="with a loop")(body)
    over.wait()  # main runs nothing
    wait(task)
    assert answers == list(range(20))


# --- nothing stays behind -------------------------------------------------------------


class Thing:
    pass


@every_size
@pytest.mark.parametrize("end", ["value", "error", "cancel"])
def test_nothing_is_kept(end: str) -> None:
    things = [Thing() for _ in range(20)]
    gone = [weakref.ref(thing) for thing in things]

    def body(thing: Thing) -> Thing:
        if end == "error":
            raise ValueError(thing)
        if end == "cancel":
            sleep(NEVER)
        return thing

    async def one(thing: Thing) -> None:
        try:
            await asyncio.wait_for(spawn(body, thing), SOON if end == "cancel" else 60)
        except (ValueError, TimeoutError):
            assert end != "value"

    async def main() -> None:
        await asyncio.gather(*map(one, things))

    asyncio.run(main())
    things.clear()
    # Threads let go of what they have run a moment later; frames refer to errors.
    until(lambda: gc.collect() >= 0 and not any(ref() for ref in gone))


def test_a_loop_is_not_kept() -> None:
    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await spawn(sleep, SOON)

    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    asyncio.run(main())
    until(lambda: gc.collect() >= 0 and loops[0]() is None)


def test_many_awaits_leave_no_subscription_at_a_task() -> None:
    async def one(task: Task[object]) -> None:
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main() -> None:
        with Gate() as gate:
            awaiters = [asyncio.ensure_future(one(gate.task)) for _ in range(200)]
            await asyncio.sleep(0)
            assert subscriptions(gate.task) == 200
            for awaiter in awaiters:
                awaiter.cancel()
            await asyncio.gather(*awaiters)
            assert subscriptions(gate.task) == 0

    asyncio.run(main())


def subscriptions(task: Task[object]) -> int:
    gc.collect()
    kinds = [type(other).__name__ for other in gc.get_referrers(task)]
    return kinds.count("_Subscription")
