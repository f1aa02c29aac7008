"""Channel: how it ends, and what it leaves behind."""

from __future__ import annotations

import gc
import queue
import sys
import weakref

import pytest
from support.gates import Gate, until, until_suspended
from support.growth import blocks_left_by

import taskrt
from taskrt import (
    CancelledError,
    Channel,
    ChannelClosed,
    Event,
    Task,
    fetch,
    spawn,
    wait,
)


def test_closed_channel_gives_what_it_has_and_no_more() -> None:
    channel: Channel[int] = Channel(3)
    for i in range(3):
        channel.put(i)
    assert not channel.closed
    channel.close()
    assert channel.closed
    for put in (channel.put, channel.put_nowait):
        with pytest.raises(ChannelClosed) as put_error:
            put(3)
        assert put_error.value.channel is channel
    assert [channel.get(), channel.get_nowait(), *channel] == [0, 1, 2]
    for get in (channel.get, channel.get_nowait):
        with pytest.raises(ChannelClosed) as get_error:
            get()
        assert get_error.value.channel is channel
    assert list(channel) == []


def test_close_ends_those_that_wait(threads: int) -> None:
    empty: Channel[int] = Channel()
    full: Channel[int] = Channel(1)
    full.put(0)
    tasks: list[Task[object]] = [spawn(full.put, 1), spawn(empty.get)]
    loop = spawn(lambda: list(empty))
    until_suspended(*tasks, loop)
    empty.close()
    full.close()
    for task in tasks:
        with pytest.raises(ChannelClosed):
            fetch(task)
    assert fetch(loop) == []
    assert list(full) == [0]


def test_error_of_the_close_is_raised_once_it_is_empty() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    error = LookupError("of the close")
    channel.close(error)
    channel.close(KeyError("too late"))
    channel.close()
    with pytest.raises(ChannelClosed) as refused:
        channel.put(2)
    assert refused.value.__cause__ is error
    items = iter(channel)
    assert next(items) == 1
    for get in (channel.get, channel.get_nowait, lambda: next(items)):
        with pytest.raises(LookupError) as raised:
            get()
        assert raised.value is error


def test_error_comes_with_its_own_traceback_each_time() -> None:
    channel: Channel[int] = Channel()
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        channel.close(error)
    lengths = []
    for _ in range(3):
        with pytest.raises(ZeroDivisionError) as raised:
            channel.get()
        lengths.append(len(raised.traceback))
    assert lengths[0] == lengths[1] == lengths[2]


def test_error_of_the_close_reaches_those_that_wait(threads: int) -> None:
    channel: Channel[int] = Channel()
    tasks = [spawn(channel.get), spawn(next, channel)]
    until_suspended(*tasks)
    channel.close(error=LookupError("of the close"))
    for task in tasks:
        with pytest.raises(LookupError, match="of the close"):
            fetch(task)


def test_a_closed_error_of_another_channel_does_not_end_a_loop_in_silence() -> None:
    channel: Channel[int] = Channel()
    channel.close(ChannelClosed("another one"))
    with pytest.raises(ChannelClosed, match="another one"):
        list(channel)


def test_bind_closes_with_the_task(threads: int) -> None:
    channel: Channel[int] = Channel()

    def count() -> None:
        for i in range(3):
            channel.put(i)

    channel.bind(spawn(count))
    assert list(channel) == [0, 1, 2]
    assert channel.closed


def test_bind_passes_the_failure_on(threads: int) -> None:
    channel: Channel[int] = Channel(2)

    def fail() -> None:
        channel.put(1)
        raise LookupError("in the task")

    task = spawn(fail)
    channel.bind(task)
    got = []
    with pytest.raises(LookupError, match="in the task") as raised:
        got.extend(channel)
    assert channel.closed
    assert raised.value is task.exception()
    with pytest.raises(ChannelClosed) as refused:
        channel.put(2)
    assert refused.value.__cause__ is raised.value


def test_bind_tells_of_a_cancellation(threads: int) -> None:
    channel: Channel[int] = Channel()
    task = taskrt.Spawner(name="producer")(channel.put, 1)
    until_suspended(task)
    channel.bind(task)
    task.cancel()
    with pytest.raises(CancelledError, match="producer"):
        channel.get()
    with pytest.raises(ChannelClosed):
        channel.put(1)


def test_bind_to_a_task_that_has_ended_closes_at_once() -> None:
    channel: Channel[int] = Channel()
    task = spawn(int)
    wait(task)
    channel.bind(task)
    assert channel.closed


def test_first_of_several_bound_tasks_closes(threads: int) -> None:
    channel: Channel[int] = Channel()
    with Gate() as gate:
        channel.bind(gate.task)
        channel.bind(spawn(int))
        assert list(channel) == []


def test_bind_leaves_nothing_at_the_task_once_it_is_closed_or_dropped() -> None:
    with Gate() as gate:
        before = sys.getrefcount(gate.task)
        for _ in range(100):
            closed: Channel[int] = Channel()
            closed.bind(gate.task)
            closed.bind(spawn(int))
            closed.bind(gate.task)
            until(lambda channel=closed: channel.closed)
            closed.bind(gate.task)
        until(lambda: sys.getrefcount(gate.task) == before)
        for _ in range(100):
            Channel[int]().bind(gate.task)
        cycle: Channel[object] = Channel(1)
        cycle.put(cycle)
        cycle.bind(gate.task)
        dropped = weakref.ref(cycle)
        del cycle
        until(lambda: gc.collect() is not None and dropped() is None)
        until(lambda: sys.getrefcount(gate.task) == before)
        assert not gate.task.done()


def test_channels_are_bound_closed_and_dropped_while_the_task_ends() -> None:
    for _ in range(200):
        event = Event()
        task = spawn(event.wait)
        channels: list[Channel[int]] = [Channel() for _ in range(8)]

        def bind(channel: Channel[int], task: Task[bool] = task) -> None:
            channel.bind(task)

        def drop(channels: list[Channel[int]] = channels) -> None:
            channels.pop().close()
            channels.pop()

        for channel in channels:
            channel.bind(task)
        tasks = [spawn(event.set), spawn(drop), *[spawn(bind, c) for c in channels]]
        tasks.append(spawn(drop))
        del channel
        wait(task, *tasks)
        assert len(channels) == 4
        until(lambda channels=channels: all(c.closed for c in channels))


def test_failure_that_nobody_got_is_reported() -> None:
    def fail(error: type[Exception]) -> None:
        raise error("in the task")

    seen: list[type[BaseException] | None] = []
    before = taskrt.num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", lambda report: seen.append(report.exc_type))
        for error in (LookupError, OSError):
            channel: Channel[int] = Channel()
            channel.bind(spawn(fail, error))
            until(lambda channel=channel: channel.closed)
            if error is OSError:
                with pytest.raises(OSError, match="in the task"):
                    channel.get()
        del channel
        until(lambda: gc.collect() or seen)
    assert seen == [LookupError]
    assert taskrt.num_threads() == before


# --- memory ---------------------------------------------------------------------------


class Item:
    """Something that a weak reference can point to."""

    channel: Channel[Item]


def test_items_are_released() -> None:
    channel: Channel[Item] = Channel(2)
    refs = []
    for _ in range(2):
        item = Item()
        refs.append(weakref.ref(item))
        channel.put(item)
    del item
    channel.get()
    until(lambda: refs[0]() is None)
    assert refs[1]() is not None
    del channel
    assert refs[1]() is None


def test_cycles_are_collected() -> None:
    channel: Channel[object] = Channel(2)
    error = LookupError(channel)
    channel.put(channel)
    channel.put(channel.put_op(channel))
    channel.close(error)
    ref = weakref.ref(channel)
    del channel, error
    until(lambda: gc.collect() or ref() is None)


def test_cycle_through_a_bound_task_is_collected() -> None:
    channel: Channel[object] = Channel(2)

    def fail(channel: Channel[object]) -> None:
        raise LookupError(channel)

    ref = weakref.ref(channel)
    task = spawn(fail, channel)
    channel.bind(task)
    wait(task)
    task.defuse()
    del channel, task
    until(lambda: gc.collect() or ref() is None)


def test_channels_in_channels_may_be_deep() -> None:
    outer: Channel[object] = Channel(1)
    for _ in range(200_000):
        inner, outer = outer, Channel(1)
        outer.put(inner)
    del inner, outer


@pytest.mark.parametrize("maxsize", [0, 2])
def test_memory_is_steady(maxsize: int) -> None:
    def use() -> None:
        channel: Channel[object] = Channel(maxsize)
        channel.bind(spawn(channel.put, object()))
        list(channel)
        with pytest.raises(ChannelClosed):
            channel.put(1)
        channel = Channel(maxsize)
        task = spawn(channel.get)
        task.cancel()
        with pytest.raises(queue.Empty):
            channel.get(0)
        wait(task)
        channel.close(LookupError())
        with pytest.raises(LookupError):
            channel.get()

    assert blocks_left_by(use, 100) <= 10
