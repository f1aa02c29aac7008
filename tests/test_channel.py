"""Channel: items from one task or thread to another."""

from __future__ import annotations

import itertools
import math
import pickle
import queue
import threading
from collections.abc import Callable

import pytest
from support.gates import here, join, pinned, until_suspended

from taskrt import (
    Cancelled,
    Channel,
    ChannelClosed,
    Task,
    fetch,
    spawn,
    wait,
)
from taskrt._core import CancelScope

SIZES = [0, 1, 3, math.inf]

each_size = pytest.mark.parametrize("maxsize", SIZES)


def drain(channel: Channel[int]) -> list[int]:
    items = []
    while True:
        try:
            items.append(channel.get_nowait())
        except (queue.Empty, ChannelClosed):
            return items


# --- making one -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maxsize", "holds"), [(0, 0), (1, 1), (3, 3), (True, 1), (2**70, math.inf)]
)
def test_holds_as_many_as_it_was_told(maxsize: int, holds: float) -> None:
    channel: Channel[int] = Channel(maxsize)
    for i in range(min(holds, 100)):
        channel.put_nowait(i)
    if holds != math.inf:
        assert channel.maxsize == holds
        with pytest.raises(queue.Full):
            channel.put_nowait(-1)
    assert drain(channel) == list(range(min(holds, 100)))


@pytest.mark.parametrize("maxsize", [None, math.inf])
def test_no_limit(maxsize: float | None) -> None:
    channel: Channel[int] = Channel(maxsize=maxsize)
    assert channel.maxsize == math.inf
    for i in range(10_000):
        channel.put(i)
    assert len(channel) == channel.qsize() == 10_000
    assert drain(channel) == list(range(10_000))


def test_by_itself_it_holds_none() -> None:
    assert Channel().maxsize == 0


@pytest.mark.parametrize("maxsize", [-1, -(2**70)])
def test_negative_size_is_refused(maxsize: int) -> None:
    with pytest.raises(ValueError, match="maxsize must be 0 or more"):
        Channel(maxsize)


@pytest.mark.parametrize("maxsize", ["1", 1.0, math.nan, -math.inf, [1]])
def test_size_of_another_type_is_refused(maxsize: object) -> None:
    with pytest.raises(TypeError, match="maxsize must be a whole number"):
        Channel(maxsize)


def test_wrong_arguments_are_refused() -> None:
    channel: Channel[int] = Channel(1)
    wrong: list[Callable[[], object]] = [
        lambda: Channel(1, 2),
        lambda: channel.put(),
        lambda: channel.put(1, 2, 3),
        lambda: channel.put(1, block=True),
        lambda: channel.put(1, "soon"),
        lambda: channel.get(1, 2),
        lambda: channel.get(block=True),
        lambda: channel.get(timeout="soon"),
        lambda: channel.close(1),
        lambda: channel.close(ValueError),
        lambda: channel.bind(channel),
        lambda: pickle.dumps(channel),
    ]
    for call in wrong:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="NaN"):
        channel.get(timeout=math.nan)
    assert (channel.qsize(), channel.closed) == (0, False)


def test_looks() -> None:
    channel: Channel[int] = Channel(2)
    assert not channel
    channel.put(1)
    assert channel
    assert repr(channel).startswith("<taskrt.Channel at ")
    assert repr(channel).endswith(": 1 of 2 items, open>")
    channel.close()
    assert repr(channel).endswith(": 1 of 2 items, closed>")
    assert Channel[int].__origin__ is Channel


# --- putting and getting --------------------------------------------------------------


@each_size
def test_items_come_in_their_order(maxsize: float, threads: int) -> None:
    channel: Channel[int] = Channel(maxsize)

    def put_all() -> None:
        for i in range(500):
            channel.put(i)

    task = spawn(put_all)
    assert [channel.get() for _ in range(500)] == list(range(500))
    fetch(task)


def test_anything_is_an_item() -> None:
    channel: Channel[object] = Channel(3)
    for item in (None, channel, queue.Empty):
        channel.put(item)
    assert [channel.get() for _ in range(3)] == [None, channel, queue.Empty]


def test_put_without_a_buffer_waits_for_its_get(threads: int) -> None:
    channel: Channel[int] = Channel()
    task = spawn(channel.put, 1)
    until_suspended(task)
    assert channel.qsize() == 0
    assert channel.get() == 1
    fetch(task)


def test_put_waits_for_room(threads: int) -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    task = spawn(channel.put, 2)
    until_suspended(task)
    assert channel.get() == 1
    fetch(task)
    assert channel.get() == 2


def test_who_waits_longest_is_served_first(threads: int) -> None:
    channel: Channel[int] = Channel()
    getters = []
    for _ in range(3):
        getters.append(spawn(channel.get))
        until_suspended(*getters)
    for i in range(3):
        channel.put(i)
    assert [fetch(task) for task in getters] == [0, 1, 2]
    putters = []
    for i in range(3):
        putters.append(spawn(channel.put, i))
        until_suspended(*putters)
    assert [channel.get() for _ in range(3)] == [0, 1, 2]
    wait(*putters)


@each_size
def test_an_item_is_for_who_waits(maxsize: float) -> None:
    """Though it has not run yet when the next one comes and takes what is there.

    So nobody starves: neither side is ever overtaken."""
    channel: Channel[int] = Channel(maxsize)
    waiter = pinned(channel.get)
    until_suspended(waiter)
    channel.put_nowait(1)
    with pytest.raises(queue.Empty):
        channel.get_nowait()
    assert fetch(waiter) == 1


@pytest.mark.parametrize("maxsize", [0, 1, 3])
def test_room_is_for_who_waits(maxsize: int) -> None:
    channel: Channel[int] = Channel(maxsize)
    for i in range(maxsize):
        channel.put_nowait(i)
    waiter = pinned(channel.put, maxsize)
    until_suspended(waiter)
    assert channel.get_nowait() == 0
    with pytest.raises(queue.Full):
        channel.put_nowait(100)
    assert drain(channel) == list(range(1, maxsize + 1))
    fetch(waiter)


def test_nowait_needs_the_other_side(threads: int) -> None:
    channel: Channel[int] = Channel()
    with pytest.raises(queue.Full):
        channel.put_nowait(1)
    with pytest.raises(queue.Empty):
        channel.get_nowait()
    task = spawn(channel.get)
    until_suspended(task)
    channel.put_nowait(2)
    assert fetch(task) == 2
    task2 = spawn(channel.put, 3)
    until_suspended(task2)
    assert channel.get_nowait() == 3
    fetch(task2)


@pytest.mark.parametrize("timeout", [0.01, 0, -1])
def test_timeout_ends_as_in_queue(timeout: float, threads: int) -> None:
    channel: Channel[int] = Channel()

    def both() -> None:
        with pytest.raises(queue.Full):
            channel.put(1, timeout)
        with pytest.raises(queue.Full):
            channel.put(1, timeout=timeout)
        with pytest.raises(queue.Empty):
            channel.get(timeout)

    both()
    fetch(spawn(both))
    thread = threading.Thread(target=both)
    thread.start()
    join(thread)
    assert drain(channel) == []


@each_size
def test_threads_tasks_and_main_share_one(maxsize: float, threads: int) -> None:
    channel: Channel[int] = Channel(maxsize)
    got: list[int] = []

    def put_some(start: int) -> None:
        for i in range(start, start + 300):
            channel.put(i)

    def get_all() -> None:
        got.extend(channel)

    def in_threads(fn: Callable[..., None], *args: int) -> threading.Thread:
        thread = threading.Thread(target=fn, args=args)
        thread.start()
        return thread

    getting = [spawn(get_all), spawn(get_all)]
    getting_threads = [in_threads(get_all)]
    putting = [spawn(put_some, 0), spawn(put_some, 300)]
    putting_threads = [in_threads(put_some, 600), in_threads(put_some, 900)]
    put_some(1200)
    wait(*putting)
    join(*putting_threads)
    channel.close()
    wait(*getting)
    join(*getting_threads)
    assert sorted(got) == list(range(1500))


def test_ping_pong(threads: int) -> None:
    there: Channel[int] = Channel()
    back: Channel[int] = Channel()

    def answer() -> None:
        for item in there:
            back.put(item + 1)
        back.close()

    task = spawn(answer)
    item = 0
    for _ in range(1000):
        there.put(item)
        item = back.get()
    there.close()
    assert list(back) == []
    fetch(task)
    assert item == 1000


@each_size
def test_pipeline_of_five(maxsize: float, threads: int) -> None:
    def stage(source: Channel[int], target: Channel[int]) -> None:
        for item in source:
            target.put(item + 1)

    channels: list[Channel[int]] = [Channel(maxsize) for _ in range(6)]
    for source, target in itertools.pairwise(channels):
        target.bind(spawn(stage, source, target))

    def feed() -> None:
        for i in range(300):
            channels[0].put(i)

    channels[0].bind(spawn(feed))
    assert list(channels[-1]) == [i + 5 for i in range(300)]


# --- cancellation ---------------------------------------------------------------------


def test_cancelled_waits_leave_nothing_behind(threads: int) -> None:
    channel: Channel[int] = Channel()
    tasks: list[Task[object]] = [spawn(channel.get), spawn(lambda: list(channel))]
    until_suspended(*tasks)
    for task in tasks:
        task.cancel()
    wait(*tasks)
    with pytest.raises(queue.Full):
        channel.put_nowait(1)
    putter = spawn(channel.put, 1)
    until_suspended(putter)
    putter.cancel()
    wait(putter)
    with pytest.raises(queue.Empty):
        channel.get_nowait()
    assert putter.cancelled()


def test_all_but_nowait_are_checkpoints() -> None:
    channel: Channel[int] = Channel(1)

    def body() -> list[str]:
        here().cancel()
        trail = []
        calls: list[tuple[str, Callable[[], object]]] = [
            ("put", lambda: channel.put(1)),
            ("get", lambda: channel.get()),
            ("get(0)", lambda: channel.get(0)),
            ("next", lambda: next(channel)),
        ]
        for name, call in calls:
            try:
                call()
            except Cancelled:
                trail.append(name)
        channel.put_nowait(2)
        trail.append(str(channel.get_nowait()))
        results.append(trail)
        return trail

    results: list[list[str]] = []
    wait(spawn(body))
    assert results == [["put", "get", "get(0)", "next", "2"]]


def test_deadline_of_a_scope_ends_a_wait(threads: int) -> None:
    channel: Channel[int] = Channel()

    def body() -> bool:
        with CancelScope(deadline=0.0) as scope:
            channel.get()
        return scope.cancelled_caught

    assert fetch(spawn(body))
    with pytest.raises(queue.Full):
        channel.put_nowait(1)
