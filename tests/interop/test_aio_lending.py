"""What only the thread of an event loop can run, while the loop awaits a task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from support.child import run_script
from support.gates import join as join_threads
from support.gates import pinned, until

from taskrt import Event, fetch, sleep, spawn

SOON = 0.002

every_size = pytest.mark.usefixtures("threads")


@every_size
def test_tasks_that_have_started_on_the_loops_thread_go_on(
    run_async: Callable[..., object],
) -> None:
    """They are suspended there, and the thread sleeps in the loop's selector."""
    event, done = Event(), []

    def body(number: int) -> int:
        event.wait()
        sleep(SOON)
        done.append(number)
        return number

    async def main() -> object:
        asyncio.get_running_loop().call_later(SOON, event.set)
        return await asyncio.gather(*tasks)

    # Pinned to this thread, so it has to be this one that goes on with them.
    tasks = [pinned(body, number) for number in range(10)]
    until(lambda: all(task.state == "suspended" for task in tasks))
    assert run_async(main()) == list(range(10))
    assert sorted(done) == list(range(10))


@every_size
def test_what_an_awaited_task_waits_for_goes_on_too() -> None:
    event = Event()
    mine = pinned(event.wait)
    until(lambda: mine.state == "suspended")
    other = spawn(fetch, mine)

    async def main() -> bool:
        asyncio.get_running_loop().call_later(SOON, event.set)
        return await other

    assert asyncio.run(main())


@every_size
def test_pinned_tasks_are_run_by_their_loop(run_async: Callable[..., object]) -> None:
    idents = []

    def body() -> None:
        idents.append(threading.get_ident())

    async def main() -> None:
        await asyncio.gather(*[pinned(body) for _ in range(10)])

    run_async(main())
    assert idents == [threading.get_ident()] * 10


def test_pinned_tasks_of_a_plain_thread_are_run_by_its_loop() -> None:
    async def main() -> None:
        answers.append(await pinned(threading.current_thread) is thread)

    answers: list[bool] = []
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    join_threads(thread)
    assert answers == [True]


def test_loop_starts_nothing_that_others_could(
    set_num_threads: Callable[[int], object],
) -> None:
    """A task that takes its time would hold up the loop."""
    set_num_threads(2)
    event = Event()
    idents = []

    async def main() -> None:
        tasks = [spawn(lambda: idents.append(threading.get_ident())) for _ in range(50)]
        asyncio.get_running_loop().call_soon(event.set)
        await asyncio.gather(mine, *tasks)

    mine = pinned(event.wait)
    until(lambda: mine.state == "suspended")
    asyncio.run(main())
    assert threading.get_ident() not in idents


@every_size
def test_a_fetch_in_a_coroutine_leaves_nothing_lying() -> None:
    """What it has started here, or made ready here, goes on in the loop."""
    event = Event()

    async def main() -> list[bool]:
        tasks = [pinned(event.wait) for _ in range(5)]
        awaits = [asyncio.ensure_future(task) for task in tasks]
        await asyncio.sleep(0)
        fetch(spawn(sleep, SOON))
        fetch(pinned(event.set))
        return await asyncio.gather(*awaits)

    assert asyncio.run(main()) == [True] * 5


@pytest.mark.isolated
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_one_thread_that_is_mains(kind: str) -> None:
    if kind == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    run_script(
        f"""
        import asyncio, {kind}
        from taskrt import fetch, spawn, sleep
        from taskrt.interop import aio

        def nested(n):
            sleep(0.0001)
            return n if n < 2 else fetch(spawn(nested, n - 1)) + nested(n - 2)

        async def main():
            assert await spawn(nested, 10) == 55
            tasks = [spawn(int, n) for n in range(100)]
            assert await asyncio.gather(*tasks) == list(range(100))
            for n in range(100):
                assert await aio.run(int, n) == n

        with asyncio.Runner(loop_factory={kind}.new_event_loop) as runner:
            runner.run(main())
        """,
        env={"TASKRT_NUM_THREADS": "1"},
    )
