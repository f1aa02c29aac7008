"""Fixtures for bridges to event loops and to joblib."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator

import pytest
from support.loops import Loop

import taskrt
from taskrt.interop.joblib import register


@pytest.fixture(params=["asyncio", "debug", "uvloop"])
def other(request: pytest.FixtureRequest) -> Iterator[Loop]:
    """Give a loop that runs on another thread, one of each kind."""
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
        factory = uvloop.new_event_loop
    loop = Loop(factory)
    loop.loop.set_debug(request.param == "debug")
    yield loop
    loop.close()


@pytest.fixture(params=["asyncio", "debug", "uvloop"])
def run_async(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Give what runs a coroutine, in a loop of each kind."""
    if request.param != "uvloop":
        return functools.partial(asyncio.run, debug=request.param == "debug")
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    def run_in_uvloop(main: Coroutine[object, object, object]) -> object:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)

    return run_in_uvloop


@pytest.fixture
def joblib_backend(set_num_threads: Callable[[int], object]) -> None:
    """Have the backend registered, and threads enough that joblib uses it."""
    register()
    set_num_threads(max(taskrt.num_threads(), 2))
