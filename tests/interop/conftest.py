"""Fixtures for bridges to event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from support.loops import Loop


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
