"""select: one of several operations on channels."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from queue import Empty, Full

import pytest
from support.gates import here, join, until, until_suspended
from support.growth import blocks_left_by

import taskrt
from taskrt import Cancelled, Channel, ChannelClosed, fetch, select, spawn, wait
from taskrt._core import Operation


def test_does_what_is_possible() -> None:
    empty: Channel[str] = Channel(1)
    full: Channel[str] = Channel(1)
    full.put("held")
    assert select(empty.get_op(), full.get_op()) == (1, "held")
    assert select(empty.get_op(), full.put_op("new")) == (1, None)
    assert full.get_nowait() == "new"
    assert select(full.put_op("alone")) == (0, None)
    assert select(full.get_op(), timeout=math.inf) == (0, "alone")


def test_waits_for_the_first_that_is_possible(threads: int) -> None:
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    task = spawn(lambda: select(a.get_op(), b.get_op()))
    until_suspended(task)
    b.put_nowait(1)
    assert fetch(task) == (1, 1)
    task2 = spawn(lambda: select(a.put_op(2), b.put_op(3)))
    until_suspended(task2)
    assert a.get_nowait() == 2
    assert fetch(task2) == (0, None)


def test_losers_leave_nothing_behind(threads: int) -> None:
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    c: Channel[int] = Channel(1)
    c.put(0)
    task = spawn(lambda: select(a.get_op(), b.put_op(1), c.put_op(2), a.get_op()))
    until_suspended(task)
    a.put_nowait(3)
    assert fetch(task) in [(0, 3), (3, 3)]
    with pytest.raises(Full):
        a.put_nowait(4)
    with pytest.raises(Empty):
        b.get_nowait()
    assert c.get_nowait() == 0
    with pytest.raises(Empty):
        c.get_nowait()


def test_two_selects_meet(threads: int) -> None:
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    for _ in range(100):
        one = spawn(lambda: select(a.put_op(1), b.get_op()))
        other = spawn(lambda: select(a.get_op(), b.put_op(2)))
        results = (fetch(one), fetch(other))
        assert results in [((0, None), (0, 1)), ((1, 2), (1, None))]


def test_each_possible_one_is_as_likely() -> None:
    channels: list[Channel[int]] = [Channel(math.inf) for _ in range(4)]
    for channel in channels[1:]:
        for i in range(3000):
            channel.put(i)
    counts = Counter(
        select(*[channel.get_op() for channel in channels])[0] for _ in range(3000)
    )
    # Nearly nine standard deviations of a fair choice.
    assert all(abs(counts[i] - 1000) < 230 for i in (1, 2, 3))
    assert counts[0] == 0


def test_without_a_default_time_runs_out() -> None:
    channel: Channel[int] = Channel()
    for timeout in (0, -1, 0.01):
        with pytest.raises(TimeoutError, match="select"):
            select(channel.get_op(), channel.get_op(), timeout=timeout)
    with pytest.raises(Full):
        channel.put_nowait(1)


def test_default() -> None:
    channel: Channel[int] = Channel()
    assert select(channel.get_op(), default=None) == (-1, None)
    assert select(channel.put_op(1), default="full", timeout=None) == (-1, "full")
    assert select(channel.get_op(), timeout=0.01, default="late") == (-1, "late")
    task = spawn(channel.put, 1)
    until_suspended(task)
    assert select(channel.get_op(), default=None) == (0, 1)
    task = spawn(channel.put, 2)
    assert select(channel.get_op(), timeout=100, default=None) == (0, 2)


def test_operations_are_used_again() -> None:
    channel: Channel[list[int]] = Channel(2)
    item = [1]
    put, get = channel.put_op(item), channel.get_op()
    for _ in range(3):
        assert select(put) == (0, None)
        index, got = select(get, get)
        assert index in (0, 1)
        assert got is item


def test_closed_channel_is_possible(threads: int) -> None:
    open_one: Channel[int] = Channel()
    closed: Channel[int] = Channel(1)
    closed.put(1)
    closed.close()
    assert select(open_one.get_op(), closed.get_op()) == (1, 1)
    for operation in (closed.get_op(), closed.put_op(1)):
        with pytest.raises(ChannelClosed) as raised:
            select(open_one.get_op(), operation)
        assert raised.value.channel is closed
    failed: Channel[int] = Channel()
    failed.close(LookupError("of the close"))
    with pytest.raises(LookupError, match="of the close"):
        select(open_one.get_op(), failed.get_op(), default=None)


def test_close_ends_the_wait(threads: int) -> None:
    a: Channel[int] = Channel()
    for puts in (False, True):
        b: Channel[int] = Channel()
        operation: Operation[int | None] = b.put_op(1) if puts else b.get_op()
        task = spawn(select, a.get_op(), operation)
        until_suspended(task)
        b.close()
        with pytest.raises(ChannelClosed) as raised:
            fetch(task)
        assert raised.value.channel is b
        with pytest.raises(Full):
            a.put_nowait(1)


def test_merge_of_channels_that_end(threads: int) -> None:
    def feed(channel: Channel[int], start: int) -> None:
        for i in range(start, start + 100):
            channel.put(i)

    channels: list[Channel[int]] = [Channel(size) for size in (0, 1, 10)]
    for start, channel in enumerate(channels):
        channel.bind(spawn(feed, channel, start * 100))
    got = []
    while channels:
        try:
            got.append(select(*[channel.get_op() for channel in channels])[1])
        except ChannelClosed as end:
            channels = [channel for channel in channels if channel is not end.channel]
    assert sorted(got) == list(range(300))


def test_wrong_arguments_are_refused() -> None:
    channel: Channel[int] = Channel(1)
    wrong: list[tuple[type[Exception], Callable[[], object]]] = [
        (ValueError, lambda: select()),
        (ValueError, lambda: select(default=1)),
        (ValueError, lambda: select(channel.get_op(), timeout=math.nan)),
        (TypeError, lambda: select(channel)),
        (TypeError, lambda: select(channel.get_op(), 1)),
        (
            TypeError,
            lambda: select(channel.get_op(), block=1),
        ),
        (
            TypeError,
            lambda: select(channel.get_op(), timeout=""),
        ),
        (TypeError, lambda: Operation()),
        (TypeError, lambda: channel.put_op()),
    ]
    for error, call in wrong:
        with pytest.raises(error):
            call()
    assert channel.qsize() == 0


def test_looks() -> None:
    channel: Channel[int] = Channel(1)
    assert repr(channel.put_op(1)).startswith("<put_op(1) of <taskrt.Channel")
    assert repr(channel.get_op()).startswith("<get_op() of <taskrt.Channel")
    assert Operation[int].__origin__ is Operation


def test_cancelled_select_leaves_nothing_behind(threads: int) -> None:
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    task = spawn(lambda: select(a.get_op(), b.put_op(1)))
    until_suspended(task)
    task.cancel()
    wait(task)
    assert task.cancelled()
    with pytest.raises(Full):
        a.put_nowait(1)
    with pytest.raises(Empty):
        b.get_nowait()


def test_is_a_checkpoint_also_when_it_only_looks() -> None:
    channel: Channel[int] = Channel(1)
    trail: list[str] = []

    def body() -> None:
        here().cancel()
        for call in (
            lambda: select(channel.put_op(1)),
            lambda: select(channel.put_op(1), default=None),
        ):
            try:
                call()
            except Cancelled:
                trail.append("cancelled")

    wait(spawn(body))
    assert trail == ["cancelled"] * 2
    assert channel.qsize() == 0


def test_from_all_kinds_of_threads(threads: int) -> None:
    channels: list[Channel[int]] = [Channel(size) for size in (0, 0, 2)]
    sums: list[int] = []

    def put_some() -> None:
        for i in range(200):
            select(*[channel.put_op(i) for channel in channels])

    def get_some() -> None:
        operations = [channel.get_op() for channel in channels]
        total = 0
        for _ in range(200):
            _, item = select(*operations)
            total += item
        sums.append(total)

    plain = [threading.Thread(target=fn) for fn in (put_some, get_some)]
    for thread in plain:
        thread.start()
    tasks = [spawn(put_some), spawn(get_some), spawn(put_some)]
    get_some()
    wait(*tasks)
    join(*plain)
    assert sum(sums) == 3 * sum(range(200))


def test_hundred_channels(threads: int) -> None:
    channels: list[Channel[int]] = [Channel() for _ in range(100)]
    task = spawn(lambda: select(*[channel.get_op() for channel in channels]))
    until_suspended(task)
    channels[70].put(1)
    assert fetch(task) == (70, 1)


class Item:
    """Something that a weak reference can point to."""


def test_items_and_channels_are_released() -> None:
    channel: Channel[Item] = Channel(1)
    item = Item()
    refs = weakref.ref(channel), weakref.ref(item)
    operation = channel.put_op(item)
    select(operation)
    select(channel.get_op())
    with pytest.raises(TimeoutError):
        select(channel.get_op(), timeout=0.001)
    del channel, item
    assert None not in [ref() for ref in refs]
    del operation
    until(lambda: gc.collect() or not any(ref() for ref in refs))


def test_memory_is_steady() -> None:
    a: Channel[object] = Channel()
    b: Channel[object] = Channel(1)

    def use() -> None:
        item = object()
        task = spawn(lambda: select(a.get_op(), b.get_op()))
        select(a.put_op(item), b.put_op(item))
        fetch(task)
        with pytest.raises(TimeoutError):
            select(a.get_op(), b.get_op(), timeout=0)
        task = spawn(lambda: select(a.get_op(), b.get_op()))
        taskrt.yield_now()
        task.cancel()
        wait(task)

    assert blocks_left_by(use, 100) <= 10
