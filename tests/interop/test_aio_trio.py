"""await of a task under Trio, and under anyio on both of its backends."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from support.child import run_script
from support.gates import Gate, pinned, until
from support.gates import join as join_threads

import taskrt
from taskrt import CancelledError, Event, Task, fetch, sleep, spawn, wait
from taskrt.interop import aio

trio: Any = pytest.importorskip("trio", reason="Trio is not installed")

SOON = 0.002
NEVER = 1e6

every_size = pytest.mark.usefixtures("threads")


def fail(error: BaseException) -> None:
    raise error


@every_size
def test_values_and_errors() -> None:
    error = ValueError("mine")

    async def main() -> object:
        with pytest.raises(ValueError) as caught:
            await spawn(fail, error)
        assert caught.value is error
        return [await spawn(pow, 2, 3), await aio.run(int, "7"), await ended]

    ended = spawn(str, "done")
    wait(ended)
    assert trio.run(main) == [8, 7, "done"]


@every_size
def test_many_at_once() -> None:
    answers = {}

    async def one(n: int) -> None:
        answers[n] = await spawn(lambda: n * n)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for n in range(500):
                nursery.start_soon(one, n)

    trio.run(main)
    assert answers == {n: n * n for n in range(500)}


@every_size
def test_cancelling_the_awaiter_asks_the_task_to_end() -> None:
    async def main() -> Task[None]:
        task = spawn(sleep, NEVER)
        with trio.CancelScope() as scope:
            # When Trio goes on, which it does only once the await has begun.
            trio.lowlevel.current_trio_token().run_sync_soon(scope.cancel)
            await task
        assert scope.cancelled_caught
        return task

    task = trio.run(main)
    wait(task)
    assert task.cancelled()


def test_cancelled_awaiter_does_not_wait_for_the_task() -> None:
    async def main() -> None:
        with Gate() as gate:
            with trio.move_on_after(SOON):
                await gate.task
            assert not gate.task.done()

    trio.run(main)


@every_size
def test_await_of_a_cancelled_task_is_an_ordinary_error() -> None:
    async def main() -> None:
        task = pinned(int)
        task.cancel("by somebody")
        with pytest.raises(CancelledError, match="by somebody"):
            await task

    trio.run(main)


def test_await_of_a_finished_task_is_a_checkpoint() -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await ended
        assert scope.cancelled_caught

    ended = spawn(int)
    wait(ended)
    trio.run(main)


@every_size
def test_what_only_this_thread_can_run_goes_on() -> None:
    event = Event()

    def body() -> str:
        event.wait()
        sleep(SOON)
        return threading.current_thread().name

    async def main() -> list[str]:
        unstarted = pinned(body)
        with trio.move_on_after(SOON):
            await trio.sleep_forever()
        event.set()
        return [await started, await unstarted, await spawn(fetch, started)]

    started = pinned(body)
    until(lambda: started.state == "suspended")
    assert trio.run(main) == [threading.current_thread().name] * 3


@every_size
def test_run_of_trio_on_another_thread() -> None:
    async def main() -> int:
        return await spawn(int, "5")

    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(trio.run(main)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    join_threads(*threads)
    assert answers == [5] * 4


@every_size
def test_run_of_trio_inside_of_a_task() -> None:
    async def main() -> int:
        return sum([await spawn(int, n) for n in range(10)])

    tasks = [spawn(trio.run, main) for _ in range(4)]
    assert taskrt.fetch_all(tasks) == [45] * 4


def test_loop_of_asyncio_in_a_task_that_runs_beneath_trio() -> None:
    """The run of Trio that sleeps on this thread is not the one that awaits."""

    async def inner() -> int:
        return await spawn(int, "6")

    async def main() -> int:
        return fetch(pinned(lambda: asyncio.run(inner())))

    assert trio.run(main) == 6


def test_end_of_the_run_drops_what_comes_later() -> None:
    async def main(task: Task[object]) -> None:
        with trio.move_on_after(SOON):
            await task

    with Gate("late") as gate:
        trio.run(main, gate.task)
        gate.open()
        assert fetch(gate.task) == "late"


@every_size
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(backend: str) -> None:
    anyio: Any = pytest.importorskip("anyio", reason="anyio is not installed")
    answers = {}
    slow = spawn(sleep, NEVER)

    async def one(n: int) -> None:
        answers[n] = await aio.run(int, n)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for n in range(100):
                group.start_soon(one, n)
        with anyio.move_on_after(0.05) as scope:
            await slow
        assert scope.cancelled_caught

    anyio.run(main, backend=backend)
    assert answers == {n: n for n in range(100)}
    wait(slow)
    assert slow.cancelled()


@pytest.mark.isolated
def test_one_thread_that_is_mains() -> None:
    run_script(
        """
        import trio
        from taskrt import fetch, spawn
        from taskrt.interop import aio

        def nested(n):
            return n if n < 2 else fetch(spawn(nested, n - 1)) + nested(n - 2)

        async def main():
            assert await spawn(nested, 10) == 55
            for n in range(100):
                assert await aio.run(int, n) == n

        trio.run(main)
        """,
        env={"TASKRT_NUM_THREADS": "1"},
    )
