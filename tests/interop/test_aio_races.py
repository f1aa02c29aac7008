"""Long random runs: ends that race with cancellations, in both directions."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from support.gates import until

import taskrt
from taskrt import Cancelled, CancelledError, Event, fetch, sleep, spawn, wait
from taskrt.interop.aio import from_async

pytestmark = [pytest.mark.stress, pytest.mark.usefixtures("threads")]

ROUNDS = 10_000


@pytest.fixture
def dice() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown if the test fails
    return random.Random(seed)


def test_awaits_cancelled_as_their_tasks_end(dice: random.Random) -> None:
    """Each await ends once, as one or the other, and so does each task."""
    outcomes: Counter[str] = Counter()
    ends: Counter[str] = Counter()

    def body(event: Event | None) -> str:
        try:
            if event is not None:
                event.wait()
        except Cancelled:
            ends["cancelled"] += 1
            raise
        ends["done"] += 1
        return "value"

    async def one(delay: int) -> None:
        event = Event() if delay % 2 else None
        task = spawn(body, event)
        tasks.append(task)
        awaiter = asyncio.ensure_future(task)
        for _ in range(delay % 5):
            await asyncio.sleep(0)
        if event is not None:
            event.set()
        if delay % 3:
            awaiter.cancel()
        try:
            outcomes[await awaiter] += 1
        except asyncio.CancelledError:
            outcomes["cancelled"] += 1
        except CancelledError:
            outcomes["task cancelled"] += 1

    async def main() -> None:
        for _ in range(ROUNDS // 100):
            delays = [dice.randrange(30) for _ in range(100)]
            await asyncio.gather(*map(one, delays))

    tasks: list[taskrt.Task[str]] = []
    asyncio.run(main())
    wait(*tasks)
    assert sum(outcomes.values()) == ROUNDS
    assert outcomes["task cancelled"] == 0
    states = Counter(task.state for task in tasks)
    assert states["done"] + states["cancelled"] == ROUNDS
    assert states["done"] >= outcomes["value"] > 0
    assert outcomes["cancelled"] >= states["cancelled"]


def test_tasks_cancelled_as_their_coroutines_end(dice: random.Random) -> None:
    """A coroutine that was begun is over before its task is, and nothing is lost."""
    begun, over = [0], [0]  # by the loop's thread alone
    got = []

    async def coroutine(steps: int) -> str:
        begun[0] += 1
        try:
            for _ in range(steps):
                await asyncio.sleep(0)
            return "value"
        finally:
            over[0] += 1

    def body(steps: int) -> None:
        got.append(from_async(coroutine(steps)))

    states: Counter[str] = Counter()
    for _ in range(ROUNDS // 100):
        tasks = [spawn(body, dice.randrange(6)) for _ in range(100)]
        for task in tasks:
            if dice.randrange(2):
                task.cancel()
            if not dice.randrange(10):
                sleep(0.0001)
        wait(*tasks)
        assert begun == over
        states.update(task.state for task in tasks)
    assert sum(states.values()) == ROUNDS
    assert set(states) == {"done", "cancelled"}
    assert len(got) == states["done"]


def test_limits_of_time_as_coroutines_end(dice: random.Random) -> None:
    async def coroutine(delay: float) -> str:
        await asyncio.sleep(delay)
        return "value"

    def body(delay: float, limit: float) -> str:
        try:
            return from_async(coroutine(delay), timeout=limit)
        except TimeoutError:
            return "late"

    answers: Counter[str] = Counter()
    for _ in range(ROUNDS // 200):
        tasks = [
            spawn(body, dice.uniform(0, 0.01), dice.uniform(0, 0.01))
            for _ in range(200)
        ]
        answers.update(fetch(task) for task in tasks)
    assert sum(answers.values()) == ROUNDS
    assert answers["value"] > ROUNDS // 10
    assert answers["late"] > ROUNDS // 10


def test_loops_closed_as_coroutines_begin_and_end(dice: random.Random) -> None:
    """Who waits hears of the one or the other."""

    async def coroutine(steps: int) -> str:
        for _ in range(steps):
            await asyncio.sleep(0)
        return "value"

    def body(loop: asyncio.AbstractEventLoop, steps: int) -> str:
        try:
            return from_async(coroutine(steps), loop=loop)
        except RuntimeError as error:
            assert "closed" in str(error) or "does not run" in str(error)
            return "closed"

    def serve(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
        loop.call_soon(started.set)
        loop.run_forever()
        loop.close()

    answers: Counter[str] = Counter()
    for _ in range(200):
        loop, started = asyncio.new_event_loop(), threading.Event()
        loop.set_exception_handler(lambda *_: None)  # tasks are destroyed: so they are
        thread = threading.Thread(target=serve, args=(loop, started))
        thread.start()
        started.wait()
        tasks = [spawn(body, loop, dice.randrange(8)) for _ in range(10)]
        for _ in range(dice.randrange(6)):
            taskrt.yield_now()
        loop.call_soon_threadsafe(loop.stop)
        answers.update(fetch(task) for task in tasks)
        until(lambda: not thread.is_alive())
        thread.join()
    assert sum(answers.values()) == 2000
    assert answers["closed"] > 0


def test_what_only_the_loops_thread_can_run_is_never_forgotten(
    dice: random.Random, set_num_threads: Callable[[int], object]
) -> None:
    """Stacks of this thread are woken from everywhere while it sleeps in the loop."""
    pinned = taskrt.Spawner(pinned=True)

    def stepper(event: Event, steps: int) -> int:
        for n in range(steps):
            if n % 3:
                event.wait()
            else:
                sleep(0.0001)
        return steps

    def waker(event: Event, stop: Event) -> None:
        while not stop.is_set():
            event.set()
            sleep(0.0001)

    async def main() -> None:
        for _ in range(ROUNDS // 500):
            event, stop = Event(autoreset=True), Event()
            steps = [dice.randrange(1, 20) for _ in range(20)]
            tasks = [pinned(stepper, event, n) for n in steps]
            wakers = [spawn(waker, event, stop) for _ in range(2)]
            assert await asyncio.gather(*tasks) == steps
            if dice.randrange(2):
                fetch(spawn(sleep, 0.0001))  # a wait in between
            stop.set()
            await asyncio.gather(*wakers)

    asyncio.run(main())
