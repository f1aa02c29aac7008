"""What is waited for exists once: it can be neither copied nor pickled."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import taskrt

MAKERS: dict[str, Callable[[], Any]] = {
    "AtomicInt": taskrt.AtomicInt,
    "Barrier": lambda: taskrt.Barrier(2),
    "BoundedSemaphore": taskrt.BoundedSemaphore,
    "CancelScope": taskrt.CancelScope,
    "CancelSource": taskrt.CancelSource,
    "CancelToken": lambda: taskrt.CancelSource().token,
    "Channel": taskrt.Channel,
    "Condition": taskrt.Condition,
    "Event": taskrt.Event,
    "Guarded": lambda: taskrt.Guarded(1),
    "Latch": lambda: taskrt.Latch(1),
    "Lock": taskrt.Lock,
    "Once": lambda: taskrt.once(int),
    "OncePerTask": lambda: taskrt.OncePerTask(int),
    "Queue": taskrt.Queue,
    "RLock": taskrt.RLock,
    "Semaphore": taskrt.Semaphore,
    "Spawner": taskrt.Spawner,
    "Task": lambda: taskrt.spawn(int),
    "TaskGroup": taskrt.TaskGroup,
    "TaskLocal": taskrt.TaskLocal,
    "Timer": lambda: taskrt.Timer(1000, int),
    "Waiter": taskrt.Waiter,
    "as_completed": lambda: taskrt.as_completed([]),
    "an operation": lambda: taskrt.Channel(1).get_op(),
    "fail_after": lambda: taskrt.fail_after(1),
    "isolated": taskrt.isolated,
    "limit": lambda: taskrt.limit(1),
}

# A block that has no state before it is entered, and what is a value.
OTHERS = {"RandomStreams", "blocking"}

SUBCLASSED = ["Barrier", "Condition", "Queue", "Semaphore", "TaskGroup", "Timer"]


def refuses_copies(thing: object) -> None:
    ways: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, pickle.dumps]
    for way in ways:
        with pytest.raises(TypeError, match="cannot pickle .*"):
            way(thing)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(thing, protocol)


@pytest.fixture
def made() -> Iterator[list[Any]]:
    """What a test makes. Timers are cancelled: who waits for them holds a thread."""
    things: list[Any] = []
    yield things
    for thing in things:
        if isinstance(thing, taskrt.Timer):
            thing.cancel()


@pytest.mark.parametrize("name", MAKERS)
def test_there_is_no_second_one(name: str, made: list[Any]) -> None:
    made.append(MAKERS[name]())
    refuses_copies(made[0])


@pytest.mark.parametrize("name", SUBCLASSED)
def test_nor_of_a_subclass(name: str, made: list[Any]) -> None:
    class Ours(getattr(taskrt, name)):  # type: ignore[misc]
        """With a dictionary of its own."""

    args = {"Barrier": (2,), "Timer": (1000, int)}.get(name, ())
    ours = Ours(*args)
    made.append(ours)
    ours.attribute = 1
    refuses_copies(ours)


def test_every_public_type_is_looked_at() -> None:
    types = {
        name
        for name in taskrt.__all__
        if inspect.isclass(thing := getattr(taskrt, name))
        and not issubclass(thing, BaseException)
    }
    assert types - MAKERS.keys() <= OTHERS
