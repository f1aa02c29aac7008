"""select: events, ends of tasks, times; and a put and a get of one channel."""

from __future__ import annotations

import gc
import itertools
import math
import random
import threading
import time
import weakref
from collections import Counter
from queue import Empty, Full

import pytest
from support.gates import Gate, here, join, pinned, until, until_suspended
from support.growth import blocks_left_by
from support.places import Place

import taskrt
from taskrt import (
    AtomicInt,
    Cancelled,
    Channel,
    Event,
    fetch,
    select,
    sleep_op,
    spawn,
    wait,
)

# --- events ---------------------------------------------------------------------------


def test_event_that_is_set_is_possible() -> None:
    unset, is_set, resets = Event(), Event(), Event(autoreset=True)
    is_set.set()
    resets.set()
    assert select(unset.wait_op(), is_set.wait_op()) == (1, True)
    assert is_set.is_set()
    assert select(resets.wait_op(), unset.wait_op()) == (0, True)
    assert not resets.is_set()
    assert select(resets.wait_op(), unset.wait_op(), default=None) == (-1, None)


def test_event_ends_the_wait(threads: int) -> None:
    for autoreset in (False, True):
        event, other = Event(autoreset), Event(autoreset)
        task = spawn(select, other.wait_op(), event.wait_op())
        until_suspended(task)
        event.set()
        assert fetch(task) == (1, True)
        assert event.is_set() is not autoreset
        other.set()  # nobody is there any more to take it
        assert other.is_set()


def test_select_takes_one_of_two_autoreset_events() -> None:
    a, b = Event(autoreset=True), Event(autoreset=True)
    operations = a.wait_op(), b.wait_op()
    counts: Counter[int] = Counter()
    for _ in range(1000):
        a.set()
        b.set()
        index = select(*operations)[0]
        counts[index] += 1
        assert [a.is_set(), b.is_set()] == [index == 1, index == 0]
        select(*operations)
    # Nearly nine standard deviations of a fair choice.
    assert abs(counts[0] - 500) < 140


def test_cancelled_select_leaves_an_autoreset_event_to_others(threads: int) -> None:
    event = Event(autoreset=True)
    for _ in range(200):
        task = spawn(select, event.wait_op())
        until_suspended(task)
        setter = spawn(event.set)
        task.cancel()
        wait(task, setter)
        taken = not task.cancelled()
        assert event.is_set() is not taken
        event.clear()


# --- tasks ----------------------------------------------------------------------------


def test_end_of_a_task_is_possible_however_it_ends(threads: int) -> None:
    def fail() -> None:
        raise LookupError("of the task")

    with Gate() as gate:
        good, bad, dropped = spawn(int), spawn(fail), spawn(fetch, gate.task)
        dropped.cancel()
        for task in (good, bad, dropped):
            assert select(gate.task.wait_op(), task.wait_op()) == (1, task)
            assert task.done()
        bad.defuse()
        gate.open()
        assert select(gate.task.wait_op()) == (0, gate.task)


def test_end_of_a_task_ends_the_wait(threads: int) -> None:
    channel: Channel[int] = Channel()
    with Gate("value") as gate:
        task = spawn(lambda: select(channel.get_op(), gate.task.wait_op()))
        until_suspended(task)
        gate.open()
        assert fetch(task) == (1, gate.task)
    with pytest.raises(Full):
        channel.put_nowait(1)


def test_pending_task_is_run_by_somebody(threads: int) -> None:
    """Also one that only this thread may start."""
    for spawner in (spawn, pinned):
        task = spawner(pow, 2, 3)
        assert select(task.wait_op()) == (0, task)
        assert fetch(task) == 8


def test_failure_stays_unobserved() -> None:
    def fail() -> None:
        raise LookupError("nobody fetched this")

    task = spawn(fail)
    assert select(task.wait_op())[0] == 0
    with pytest.raises(LookupError):
        fetch(task)


def test_operation_outlives_and_predeceases_its_task(threads: int) -> None:
    with Gate() as gate:
        kept = gate.task.wait_op()
        for _ in range(100):
            gate.task.wait_op()
        gate.open()
    assert select(kept) == (0, gate.task)
    assert select(kept, timeout=math.inf) == (0, gate.task)


def test_operations_die_while_their_tasks_end(threads: int) -> None:
    for _ in range(300):
        tasks = [spawn(int) for _ in range(10)]
        operations = [task.wait_op() for task in tasks]
        select(*operations)
        del operations
        wait(*tasks)


# --- time -----------------------------------------------------------------------------


def test_time_that_has_come_is_possible() -> None:
    event = Event()
    assert select(event.wait_op(), sleep_op(0)) == (1, None)
    assert select(event.wait_op(), sleep_op(0), default="not yet") == (1, None)
    assert select(event.wait_op(), sleep_op(60), default="not yet") == (-1, "not yet")
    event.set()
    assert select(event.wait_op(), sleep_op(60)) == (0, True)


def test_the_earliest_time_ends_the_wait(run: Place) -> None:
    def body() -> None:
        event = Event()
        operations = event.wait_op(), sleep_op(60), sleep_op(0.01), sleep_op(math.inf)
        for _ in range(2):  # the time begins anew
            before = time.monotonic()
            assert select(*operations) == (2, None)
            assert time.monotonic() - before >= 0.01
        assert select(*operations, timeout=30) == (2, None)
        with pytest.raises(TimeoutError, match="select"):
            select(event.wait_op(), sleep_op(60), timeout=0.001)
        assert select(sleep_op(60), timeout=0.001, default=3) == (-1, 3)

    run(body)


def test_only_times() -> None:
    assert fetch(spawn(select, sleep_op(0.002), sleep_op(30))) == (0, None)


def test_wrong_times_are_refused() -> None:
    for seconds in (-1, math.nan):
        with pytest.raises(ValueError, match=r"length|NaN"):
            sleep_op(seconds)
    for wrong in (None, "1"):
        with pytest.raises(TypeError):
            sleep_op(wrong)  # type: ignore[arg-type]


# --- a put and a get of one channel ---------------------------------------------------


def test_select_does_not_meet_itself(threads: int) -> None:
    channel: Channel[int] = Channel()
    with pytest.raises(TimeoutError):
        select(channel.put_op(1), channel.get_op(), timeout=0.001)
    task = spawn(lambda: select(channel.put_op(1), channel.get_op()))
    until_suspended(task)
    assert channel.get_nowait() == 1
    assert fetch(task) == (0, None)
    task2 = spawn(lambda: select(channel.get_op(), channel.put_op(1)))
    until_suspended(task2)
    channel.put_nowait(2)
    assert fetch(task2) == (0, 2)
    with pytest.raises(Empty):
        channel.get_nowait()
    with pytest.raises(Full):
        channel.put_nowait(1)


def test_put_and_get_of_a_channel_with_room() -> None:
    channel: Channel[int] = Channel(1)
    both = channel.put_op(1), channel.get_op()
    assert select(*both) == (0, None)
    assert select(*both) == (1, 1)
    channel.put(5)
    channel.close()
    with pytest.raises(taskrt.ChannelClosed):
        for _ in range(2):
            select(*both)


def test_two_that_put_or_get_meet_each_other(threads: int) -> None:
    channel: Channel[str] = Channel()
    for _ in range(100):
        one = spawn(lambda: select(channel.put_op("one"), channel.get_op()))
        other = spawn(lambda: select(channel.put_op("other"), channel.get_op()))
        results = {fetch(one), fetch(other)}
        assert results in [{(0, None), (1, "one")}, {(0, None), (1, "other")}]


def test_many_that_put_or_get_lose_nothing(threads: int) -> None:
    channel: Channel[int] = Channel()
    trades = AtomicInt()
    # The others could be done while one still has some to do, with nobody to meet.
    enough = Event()

    def trade(n: int) -> tuple[int, int]:
        """Put or get until there was enough; return what was put and got, in sum."""
        put = got = 0
        for i in itertools.count(n):
            index, item = select(channel.put_op(i), channel.get_op(), enough.wait_op())
            if index == 2:
                break
            if index == 0:
                put += i
            else:
                assert isinstance(item, int)
                got += item
            if trades.fetch_add() == 600:
                enough.set()
        return put, got

    tasks = [spawn(trade, n * 1000) for n in range(6)]
    sums = [fetch(task) for task in tasks]
    assert sum(put for put, _ in sums) == sum(got for _, got in sums) > 0


def test_cancelled_put_or_get_leaves_nothing_behind(threads: int) -> None:
    channel: Channel[int] = Channel()
    task = spawn(lambda: select(channel.put_op(1), channel.get_op()))
    until_suspended(task)
    task.cancel()
    wait(task)
    assert task.cancelled()
    with pytest.raises(Empty):
        channel.get_nowait()
    with pytest.raises(Full):
        channel.put_nowait(1)


# --- all of them ----------------------------------------------------------------------


def test_is_a_checkpoint() -> None:
    event = Event(autoreset=True)
    event.set()

    def body() -> None:
        here().cancel()
        with pytest.raises(Cancelled):
            select(event.wait_op(), sleep_op(0))

    wait(spawn(body))
    assert event.is_set()


def test_each_kind_is_as_likely() -> None:
    event, task = Event(), spawn(int)
    channel: Channel[int] = Channel(math.inf)
    event.set()
    wait(task)
    operations = event.wait_op(), task.wait_op(), sleep_op(0), channel.put_op(1)
    counts = Counter(select(*operations)[0] for _ in range(4000))
    # Nearly nine standard deviations of a fair choice.
    assert all(abs(counts[i] - 1000) < 250 for i in range(4))


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_at_once_from_all_kinds_of_threads(threads: int, seed: int) -> None:
    """Each set of an autoreset event, and each item, is taken once."""
    dice = random.Random(seed)
    events = [Event(autoreset=True) for _ in range(2)]
    channels: list[Channel[int]] = [Channel(), Channel(2)]
    stop: Channel[None] = Channel()
    taken: list[int] = []
    rounds = 300

    def take() -> None:
        while True:
            operations = [channel.get_op() for channel in channels]
            waits = [event.wait_op() for event in events]
            try:
                index, _ = select(*operations, *waits, stop.get_op(), sleep_op(0.001))
            except taskrt.ChannelClosed:
                return
            if index < 4:
                taken.append(index)

    plain = threading.Thread(target=take)
    plain.start()
    takers = [spawn(take) for _ in range(3)]
    for _ in range(rounds):
        kind = dice.randrange(3)
        if kind == 2:
            event = dice.choice(events)
            event.set()
            until(lambda event=event: not event.is_set())  # type: ignore[misc]
        else:
            channels[kind].put(kind)
    until(lambda: len(taken) == rounds)
    stop.close()
    wait(*takers)
    join(plain)
    assert len(taken) == rounds


def test_what_is_chosen_from_is_released() -> None:
    with Gate() as gate:
        refs = [weakref.ref(event := Event()), weakref.ref(task := spawn(int))]
        operations = [event.wait_op(), task.wait_op(), gate.task.wait_op()]
        select(*operations)
        with pytest.raises(TimeoutError):
            select(operations[0], operations[2], timeout=0.001)
        del event, task
        assert None not in [ref() for ref in refs]
        del operations
        until(lambda: gc.collect() or not any(ref() for ref in refs))


def test_memory_is_steady() -> None:
    event = Event()
    with Gate() as gate:

        def use() -> None:
            task = spawn(int)
            select(event.wait_op(), gate.task.wait_op(), task.wait_op())
            select(event.wait_op(), gate.task.wait_op(), timeout=0, default=None)

        assert blocks_left_by(use, 100) <= 10


def test_looks() -> None:
    event, task = Event(), spawn(int)
    assert repr(event.wait_op()).startswith("<wait_op() of <taskrt.Event")
    assert repr(task.wait_op()).startswith("<wait_op() of <Task ")
    assert repr(sleep_op(1.5)) == "<sleep_op(1.5)>"
    wait(task)
