"""from_async(): a task waits for a coroutine in an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import warnings
import weakref
from collections.abc import Iterator

import pytest
from support.gates import here, until
from support.loops import Loop, give
from support.places import Place

import taskrt
from taskrt import (
    Cancelled,
    CancelledError,
    CancelScope,
    Task,
    TaskGroup,
    fail_after,
    fetch,
    fetch_all,
    move_on_after,
    sleep,
    spawn,
    wait,
)
from taskrt.interop import aio
from taskrt.interop._aio_background import background
from taskrt.interop.aio import from_async

SOON = 0.002
NEVER = 1e6

variable = contextvars.ContextVar("variable", default="default")
every_size = pytest.mark.usefixtures("threads")


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


class Cleaner:
    """A coroutine that takes its time to end when it is cancelled."""

    def __init__(self, swallows: bool = False) -> None:
        self.begun = threading.Event()
        self.cleaned = False
        self.message: object = None
        self._swallows = swallows

    async def run(self) -> str:
        try:
            self.begun.set()
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError as error:
            self.message = error.args[0] if error.args else None
            await asyncio.sleep(5 * SOON)
            self.cleaned = True
            if not self._swallows:
                raise
        return "swallowed"


# --- values and errors ----------------------------------------------------------------


@every_size
def test_value_comes_back(run: Place) -> None:
    def body() -> None:
        assert from_async(give(5)) == 5
        assert from_async(give(5), timeout=60) == 5

    run(body)


@every_size
def test_error_comes_back_as_it_is(run: Place) -> None:
    error = ValueError("mine")

    def body() -> None:
        with pytest.raises(ValueError) as caught:
            from_async(fail(error))
        assert caught.value is error

    run(body)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_errors_that_would_end_the_loop_do_not(kind: type[BaseException]) -> None:
    async def left_behind() -> None:
        asyncio.get_running_loop().call_soon(raise_it)

    def raise_it() -> None:
        raise kind("left behind")

    if kind is not GeneratorExit:  # that says to the coroutine that nobody runs it
        with pytest.raises(kind):
            from_async(fail(kind("mine")))
    from_async(left_behind())
    assert from_async(give(3)) == 3


def test_it_runs_as_a_task_of_asyncio_in_one_loop_for_all() -> None:
    async def look() -> object:
        assert asyncio.current_task() is not None
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        return asyncio.get_running_loop(), threading.current_thread()

    seen = set(fetch_all([spawn(from_async, look()) for _ in range(20)]))
    assert len(seen) == 1
    assert threading.current_thread() not in {thread for _, thread in seen}


def test_any_awaitable_will_do(other: Loop) -> None:
    class Custom:
        def __await__(self) -> Iterator[object]:
            yield from asyncio.sleep(SOON).__await__()
            return "custom"

    async def make() -> asyncio.Future[str]:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(SOON, future.set_result, "future")
        return future

    assert from_async(Custom()) == "custom"
    assert from_async(spawn(str, "task")) == "task"
    # A Future is bound to its loop, which is then the one that is used.
    assert from_async(from_async(make())) == "future"
    assert from_async(from_async(make(), loop=other.loop)) == "future"


def test_context_variables_go_in_and_not_back() -> None:
    async def look() -> str:
        before = variable.get()
        variable.set("of the coroutine")
        return before

    def body() -> None:
        variable.set("of the task")
        assert from_async(look()) == "of the task"
        assert variable.get() == "of the task"

    fetch(spawn(body))


@every_size
def test_only_the_task_waits_not_its_thread() -> None:
    release = threading.Event()

    async def until_released() -> None:
        while not release.is_set():
            await asyncio.sleep(0.0001)

    waiting = [spawn(from_async, until_released()) for _ in range(20)]
    until(lambda: all(task.state == "suspended" for task in waiting))
    assert fetch(spawn(int, "3")) == 3
    release.set()
    wait(*waiting)


@every_size
def test_thousand_at_once() -> None:
    async def give_later(n: int) -> int:
        await asyncio.sleep(0.05)
        return n

    start = time.monotonic()
    tasks = [spawn(lambda n=n: from_async(give_later(n))) for n in range(1000)]
    assert fetch_all(tasks) == list(range(1000))
    assert time.monotonic() - start < 1000 * 0.05  # not one after another


@every_size
def test_nested_both_ways(run: Place) -> None:
    async def coroutine(depth: int) -> int:
        await asyncio.sleep(0)
        return 1 + await aio.run(task, depth - 1)

    def task(depth: int) -> int:
        return from_async(coroutine(depth)) if depth else 0

    run(lambda: fetch_all([spawn(task, 8) for _ in range(10)]) == [8] * 10)
    assert task(8) == 8


# --- cancellation ---------------------------------------------------------------------


def cancelled_with(task: Task[object]) -> str:
    with pytest.raises(CancelledError) as caught:
        fetch(task)
    return str(caught.value)


@every_size
def test_cancelling_the_task_cancels_the_coroutine_and_waits_for_it() -> None:
    cleaner = Cleaner()
    task = spawn(lambda: from_async(cleaner.run()))
    until(cleaner.begun.is_set)
    task.cancel("enough")
    assert "enough" in cancelled_with(task)
    assert cleaner.cleaned
    assert cleaner.message == "enough"


@every_size
def test_coroutine_that_ends_nevertheless_has_won() -> None:
    """Nothing that it has done is lost; Cancelled comes at the next checkpoint."""
    cleaner = Cleaner(swallows=True)
    got = []

    def body() -> None:
        got.append(from_async(cleaner.run()))
        taskrt.checkpoint()
        pytest.fail("not reached")

    task = spawn(body)
    until(cleaner.begun.is_set)
    task.cancel()
    cancelled_with(task)
    assert got == ["swallowed"]


@every_size
def test_cancelled_task_starts_no_coroutine(run: Place) -> None:
    def body() -> None:
        with CancelScope() as scope:
            scope.cancel()
            from_async(give(1))
            pytest.fail("not reached")
        assert scope.cancelled_caught

    with warnings.catch_warnings(record=True) as seen:
        run(body)
        gc.collect()
    assert seen == []


@every_size
def test_cancellation_stays_in_force_while_the_coroutine_cleans_up() -> None:
    seen = []

    def body() -> None:
        try:
            from_async(cleaner.run())
        except Cancelled:
            for _ in range(2):
                try:
                    from_async(give(1))
                except Cancelled:
                    seen.append("again")
            raise

    cleaner = Cleaner()
    task = spawn(body)
    until(cleaner.begun.is_set)
    task.cancel()
    cancelled_with(task)
    assert seen == ["again", "again"]


@every_size
@pytest.mark.parametrize("limit", ["move_on", "fail", "timeout"])
def test_limits_of_time(run: Place, limit: str) -> None:
    cleaner = Cleaner()

    def body() -> None:
        if limit == "move_on":
            with move_on_after(SOON) as scope:
                from_async(cleaner.run())
            assert scope.cancelled_caught
        elif limit == "fail":
            with pytest.raises(TimeoutError), fail_after(SOON):
                from_async(cleaner.run())
        else:
            with pytest.raises(TimeoutError, match="0.002 seconds"):
                from_async(cleaner.run(), timeout=SOON)

    run(body)
    assert cleaner.cleaned == cleaner.begun.is_set()


@every_size
def test_group_ends_coroutines_of_its_tasks() -> None:
    cleaners = [Cleaner() for _ in range(5)]

    def bad() -> None:
        for cleaner in cleaners:
            until(cleaner.begun.is_set)
        raise ValueError

    with pytest.raises(ExceptionGroup), TaskGroup() as group:
        for cleaner in cleaners:
            group.spawn(lambda c=cleaner: from_async(c.run()))
        group.spawn(bad)
    assert all(cleaner.cleaned for cleaner in cleaners)


def test_shield_protects_the_coroutine() -> None:
    def body() -> object:
        with CancelScope(shield=True):
            here().cancel()
            return from_async(give("whole"))

    assert fetch(spawn(body)) == "whole"


@every_size
def test_coroutine_that_somebody_else_cancels_is_an_ordinary_error(run: Place) -> None:
    async def gives_up() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel, "from inside")
        await asyncio.sleep(NEVER)

    def body() -> None:
        with pytest.raises(CancelledError, match="in its event loop"):
            from_async(gives_up())

    run(body)


@every_size
def test_cancellation_goes_through_both_directions() -> None:
    """Of a task, its coroutine, the task that one awaits, and the coroutine of that."""
    cleaner = Cleaner()

    async def middle() -> None:
        await aio.run(lambda: from_async(cleaner.run()))

    task = spawn(lambda: from_async(middle()))
    until(cleaner.begun.is_set)
    task.cancel()
    cancelled_with(task)
    until(lambda: cleaner.cleaned)


# --- the world ------------------------------------------------------------------------


@every_size
def test_tasks_talk_to_a_server_of_asyncio() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(echo, "127.0.0.1", 0)

    async def talk(port: int, name: str) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = []
        for n in range(5):
            writer.write(f"{name} {n}\n".encode())
            await writer.drain()
            lines.append(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return lines

    async def stop(server: asyncio.Server) -> None:
        server.close()
        await server.wait_closed()

    server = from_async(serve())
    port = server.sockets[0].getsockname()[1]
    names = [f"client{n}" for n in range(50)]
    answers = fetch_all([spawn(lambda n=n: from_async(talk(port, n))) for n in names])
    assert answers == [
        [f"{name} {n}\n".upper().encode() for n in range(5)] for name in names
    ]
    from_async(stop(server))


# --- nothing stays behind -------------------------------------------------------------


class Thing:
    pass


@every_size
@pytest.mark.parametrize("end", ["value", "error", "cancel"])
def test_nothing_is_kept(run: Place, end: str) -> None:
    gone = []

    async def coroutine(thing: Thing) -> Thing:
        if end == "error":
            raise ValueError(thing)
        if end == "cancel":
            await asyncio.sleep(NEVER)
        return thing

    def body() -> None:
        thing = Thing()
        gone.append(weakref.ref(thing))
        try:
            from_async(coroutine(thing), timeout=SOON if end == "cancel" else None)
        except (ValueError, TimeoutError):
            assert end != "value"

    for _ in range(10):
        run(body)
    from_async(give(1))
    # Threads let go of what they have run a moment later; frames refer to errors.
    until(lambda: gc.collect() >= 0 and not any(ref() for ref in gone))


def test_own_loop_keeps_no_timers_of_calls_that_have_ended() -> None:
    for _ in range(300):
        from_async(give_at_once())
    loop = background.get()
    scheduled = getattr(loop, "_scheduled", [])  # asyncio's own
    assert len(scheduled) < 250


async def give_at_once() -> None:
    pass


def test_wait_of_the_main_thread_runs_tasks() -> None:
    assert from_async(ask_main()) == "ran"


async def ask_main() -> str:
    task = spawn(str, "ran")
    return await task


def test_it_can_wait_for_what_runs_between() -> None:
    assert from_async(relay()) == 6


async def relay() -> int:
    total = 0
    for n in range(4):
        total += await aio.run(lambda n=n: (sleep(0.0001), n)[1])
    return total
