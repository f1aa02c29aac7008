"""Arguments that are read by hand: too many, given twice, or of a name unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from taskrt import (
    BoundedSemaphore,
    Channel,
    Event,
    Lock,
    RLock,
    Semaphore,
    Waiter,
    fetch,
    select,
    spawn,
    wait,
    wait_readable,
    wait_writable,
)

ACQUIRES = [Lock, RLock, Semaphore, BoundedSemaphore]

# What takes a timeout, and the arguments before it.
TIMED: dict[str, Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]] = {
    "wait": lambda: (Event().wait, ()),
    "park": lambda: (Waiter().park, ()),
    "get": lambda: (Channel(1).get, ()),
    "put": lambda: (Channel(1).put, ("item",)),
    "result": lambda: (spawn(int).result, ()),
    "exception": lambda: (spawn(int).exception, ()),
    "fetch": lambda: (fetch, (spawn(int),)),
    "wait_readable": lambda: (wait_readable, (0,)),
    "wait_writable": lambda: (wait_writable, (1,)),
}


@pytest.mark.parametrize("make", ACQUIRES)
def test_acquire_refuses_what_is_given_twice(make: Callable[[], Any]) -> None:
    for args, kwargs, said in [
        ((False,), {"blocking": True}, r"by name \('blocking'\) and position \(1\)"),
        ((True,), {"blocking": True}, r"by name \('blocking'\) and position \(1\)"),
        ((True, 1), {"timeout": 1}, "at most 2 arguments"),
        ((True, 1, 1), {}, "at most 2 arguments"),
        ((True,), {"seconds": 1}, "unexpected keyword argument 'seconds'"),
    ]:
        lock = make()
        with pytest.raises(TypeError, match=said):
            lock.acquire(*args, **kwargs)
        assert lock.acquire(False) is True  # it was not taken by that


@pytest.mark.parametrize("name", TIMED)
def test_a_timeout_is_given_once(name: str) -> None:
    call, before = TIMED[name]()
    place = len(before) + 1
    twice = rf"{name}\(\) given by name \('timeout'\) and position \({place}\)"
    with pytest.raises(TypeError, match=twice):
        call(*before, 0, timeout=0)
    with pytest.raises(TypeError, match=rf"{name}\(\).* 'seconds'.*timeout"):
        call(*before, seconds=0)
    with pytest.raises(TypeError, match=rf"{name}\(\).* 'seconds'.*timeout"):
        call(*before, 0, seconds=0)
    with pytest.raises(TypeError, match=rf"{name}\(\) takes .*\({place + 1} "):
        call(*before, 0, 0)


def test_what_has_to_come_by_position() -> None:
    channel = Channel[int](1)
    calls: list[Callable[..., Any]] = [fetch, channel.put]
    for call in calls:
        with pytest.raises(TypeError, match="0 arguments given by position"):
            call(timeout=0)
    for call in (wait, select):
        with pytest.raises(TypeError, match="unexpected keyword argument 'seconds'"):
            call(seconds=1)


@pytest.mark.parametrize("make", [Semaphore, BoundedSemaphore])
def test_a_message_names_the_type_that_was_called(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=rf"\b{make.__name__}\(\)"):
        make(1, value=1)
