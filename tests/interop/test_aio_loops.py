"""from_async() and the loops that it is given, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from support.gates import until
from support.loops import Loop, give
from support.places import Place

import taskrt
from taskrt import fetch, spawn
from taskrt.interop.aio import from_async

SOON = 0.002
NEVER = 1e6

every_size = pytest.mark.usefixtures("threads")


@every_size
def test_loop_that_is_given_is_used(run: Place, other: Loop) -> None:
    async def look() -> object:
        await asyncio.sleep(SOON)
        return asyncio.get_running_loop()

    run(lambda: _check(from_async(look(), loop=other.loop) is other.loop))


def _check(condition: bool) -> None:
    assert condition


@every_size
def test_loop_closed_meanwhile_is_an_error(
    run: Place, other: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    def body() -> None:
        begun = threading.Event()

        async def never() -> None:
            begun.set()
            await asyncio.sleep(NEVER)

        def close() -> None:
            begun.wait()
            other.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(RuntimeError, match="closed before the coroutine"):
            from_async(never(), loop=other.loop)
        closer.join()

    if other.loop.is_closed():
        pytest.fail("closed too early")
    run(body)
    gc.collect()


def test_loop_closed_before_the_coroutine_has_begun_is_an_error() -> None:
    loop = asyncio.new_event_loop()
    blocked, closing = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        closing.wait()
        loop.stop()  # after this round what has come since is not run

    def serve() -> None:
        loop.call_soon(block)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    blocked.wait()
    task = spawn(lambda: from_async(give(1), loop=loop))
    until(lambda: task.state == "suspended")
    closing.set()
    with pytest.raises(RuntimeError, match="closed before the coroutine"):
        fetch(task)
    thread.join()


def test_loop_that_does_not_run_is_refused() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(RuntimeError, match="does not run"):
        from_async(give(1), loop=loop)
    loop.close()
    with pytest.raises(RuntimeError, match="is closed"):
        from_async(give(1), loop=loop)


def test_call_on_the_thread_of_a_loop_is_refused() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="await the coroutine instead"):
            from_async(give(1))
        with pytest.raises(RuntimeError, match="this very thread"):
            fetch(taskrt.Spawner(pinned=True)(lambda: from_async(give(1), loop=loop)))
        # Another loop does not wait for this thread.
        assert fetch(spawn(lambda: from_async(give(1)))) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("argument", "message"), [(5, "not 'int'"), (give, "call it, and pass on")]
)
def test_only_what_can_be_awaited_is_taken(argument: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        from_async(argument)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
def test_only_a_number_is_a_timeout(timeout: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_async(give(1), timeout=timeout)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="event loop"):
        from_async(give(1), loop=5)  # type: ignore[arg-type]


def test_task_factory_that_fails_is_an_error(other: Loop) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise LookupError("no tasks")

    other.loop.set_task_factory(refuse)  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="no tasks"):
        from_async(give(1), loop=other.loop)
