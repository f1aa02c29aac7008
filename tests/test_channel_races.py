"""No item is lost or doubled, whatever ends the waits of those who put and get.

Each item is a number. What counts as put is what a put returned for; that, and nothing
else, has been got in the end or is still held.
"""

from __future__ import annotations

import math
import queue
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.gates import join, until

import taskrt
from taskrt import Cancelled, Channel, ChannelClosed, select, spawn, wait

stress = pytest.mark.stress
each_size = pytest.mark.parametrize("maxsize", [0, 1, 5, math.inf])

Put = Callable[[Channel[int], int], object]
Get = Callable[[Channel[int]], int]


class Ledger:
    """Who has put and got what; each part by one task or thread."""

    def __init__(self, maxsize: float) -> None:
        self.channel: Channel[int] = Channel(maxsize)
        self.put: list[int] = []
        self.got: list[int] = []

    def put_some(self, numbers: range, put: Put) -> None:
        for number in numbers:
            try:
                put(self.channel, number)
            except queue.Full:
                continue
            self.put.append(number)

    def get_some(self, get: Get) -> None:
        while True:
            try:
                self.got.append(get(self.channel))
            except queue.Empty:
                taskrt.yield_now()  # to who closes it, if that is this thread's
                continue
            except ChannelClosed:
                return

    def check(self) -> None:
        """See that all is there, once nobody puts or gets any more."""
        try:
            while True:
                self.got.append(self.channel.get_nowait())
        except (queue.Empty, ChannelClosed):
            pass
        assert sorted(self.got) == sorted(self.put)


def put_for(timeout: float) -> Put:
    return lambda channel, number: channel.put(number, timeout)


def get_for(timeout: float) -> Get:
    return lambda channel: channel.get(timeout)


def select_put(channel: Channel[int], number: int) -> None:
    other: Channel[int] = Channel(0)
    assert select(other.get_op(), channel.put_op(number)) == (1, None)


def select_get(channel: Channel[int]) -> int:
    other: Channel[int] = Channel(0)
    index, number = select(channel.get_op(), other.put_op(1), channel.get_op())
    assert index in (0, 2)
    assert number is not None
    return number


def cancel_many(maxsize: float, rounds: int, put: Put, get: Get) -> None:
    """Cancel tasks that put and get, one item each, while others go on."""
    ledger = Ledger(maxsize)
    dice = random.Random(f"{maxsize} {rounds}")
    for start in range(0, rounds, 8):
        tasks: list[taskrt.Task[None]] = []
        for number in range(start, start + 8):
            tasks.append(spawn(ledger.put_some, range(number, number + 1), put))
            tasks.append(spawn(lambda: ledger.got.append(get(ledger.channel))))
        dice.shuffle(tasks)
        for task in tasks[: dice.randrange(len(tasks))]:
            if dice.random() < 0.5:
                taskrt.yield_now()
            task.cancel()
        for task in tasks:
            if not wait(task, timeout=0.0005):
                task.cancel()
        wait(*tasks)
    ledger.check()


@each_size
def test_cancelled_tasks_lose_nothing(maxsize: float, threads: int) -> None:
    cancel_many(maxsize, 400, Channel.put, Channel.get)


@each_size
def test_cancelled_selects_lose_nothing(maxsize: float, threads: int) -> None:
    cancel_many(maxsize, 400, select_put, select_get)


def race_timeouts(maxsize: float, count: int, timeout: float) -> None:
    ledger = Ledger(maxsize)
    put, get = put_for(timeout), get_for(timeout)
    putters = [
        spawn(ledger.put_some, range(i * count, (i + 1) * count), put) for i in (0, 1)
    ]
    getter = spawn(ledger.get_some, get)
    threads = [
        threading.Thread(
            target=ledger.put_some, args=(range(2 * count, 3 * count), put)
        ),
        threading.Thread(target=ledger.get_some, args=(get,)),
    ]
    for thread in threads:
        thread.start()
    wait(*putters)
    join(threads[0])
    ledger.channel.close()
    wait(getter)
    join(threads[1])
    ledger.check()


@each_size
@pytest.mark.parametrize("timeout", [0.0, 1e-6, 2e-5])
def test_timeouts_lose_nothing(maxsize: float, timeout: float, threads: int) -> None:
    race_timeouts(maxsize, 300, timeout)


def race_close(maxsize: float) -> None:
    ledger = Ledger(maxsize)

    def put_until_closed(start: int) -> None:
        with pytest.raises(ChannelClosed):
            ledger.put_some(range(start, start + 10**6), Channel.put)

    tasks = [spawn(put_until_closed, i * 10**6) for i in range(2)]
    tasks += [spawn(ledger.get_some, Channel.get) for _ in range(2)]
    until(lambda: len(ledger.got) > 20)
    ledger.channel.close()
    wait(*tasks)
    for task in tasks:
        task.result()
    ledger.check()


@pytest.mark.parametrize("maxsize", [0, 1, 5])
def test_close_loses_nothing(maxsize: float, threads: int) -> None:
    for _ in range(20):
        race_close(maxsize)


def test_cancelled_just_when_it_is_served(threads: int) -> None:
    """A task that puts ends either as cancelled or with its item taken."""
    channel: Channel[int] = Channel()
    for number in range(300):
        returned: list[int] = []

        def put(number: int = number, returned: list[int] = returned) -> None:
            channel.put(number)
            returned.append(number)

        task = spawn(put)
        thread = threading.Thread(target=task.cancel)
        thread.start()
        try:
            got = [channel.get(0.0002)]
        except queue.Empty:
            got = []
        join(thread)
        wait(task)
        assert got == returned


def test_cancellation_of_a_put_that_has_happened_is_met_next() -> None:
    channel: Channel[int] = Channel()
    trail: list[str] = []

    def put() -> None:
        channel.put(1)
        trail.append("put")
        try:
            taskrt.checkpoint()
        except Cancelled:
            trail.append("cancelled")
            raise

    task = taskrt.Spawner(pinned=True)(put)
    until(lambda: task.state == "suspended")
    assert channel.get_nowait() == 1
    task.cancel()
    wait(task)
    assert trail == ["put", "cancelled"]


class Interrupted(Exception):
    """Raised by the handler of a signal."""


@pytest.fixture
def interrupt_once_with() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Send main a signal once it waits, whose handler calls something and raises."""
    before = signal.getsignal(signal.SIGUSR1)
    senders: list[threading.Thread] = []

    def begin(act: Callable[[], object]) -> None:
        def handle(_number: int, _frame: object) -> None:
            try:
                act()
            except (queue.Full, queue.Empty):  # main does not wait yet
                senders.append(threading.Thread(target=send))
                senders[-1].start()
            else:
                raise Interrupted

        def send() -> None:
            time.sleep(0.001)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, handle)
        senders.append(threading.Thread(target=send))
        senders[-1].start()

    yield begin
    for sender in senders:
        sender.join()
    signal.signal(signal.SIGUSR1, before)


needs_signals = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="no signals to threads here"
)
Begin = Callable[[Callable[[], object]], None]


@needs_signals
@pytest.mark.parametrize("get", [Channel.get, next, select_get])
def test_item_of_an_interrupted_get_goes_back_to_the_front(
    get: Get, interrupt_once_with: Begin, threads: int
) -> None:
    channel: Channel[int] = Channel()
    interrupt_once_with(lambda: channel.put_nowait(1))
    with pytest.raises(Interrupted):
        get(channel)
    assert channel.qsize() == 1
    other = spawn(channel.put, 2)
    assert [channel.get(), channel.get()] == [1, 2]
    wait(other)


@needs_signals
@pytest.mark.parametrize("put", [Channel.put, select_put])
def test_interrupted_put_that_has_happened_raises_after_the_fact(
    put: Put, interrupt_once_with: Begin, threads: int
) -> None:
    channel: Channel[int] = Channel()
    got: list[int] = []
    interrupt_once_with(lambda: got.append(channel.get_nowait()))
    with pytest.raises(Interrupted):
        put(channel, 1)
    assert got == [1]
    with pytest.raises(queue.Empty):
        channel.get_nowait()


# --- a model --------------------------------------------------------------------------


class ChannelModel(RuleBasedStateMachine):
    """What never waits, against a list."""

    @initialize(maxsize=st.one_of(st.integers(0, 12), st.just(math.inf)))
    def begin(self, maxsize: float) -> None:
        self.maxsize = maxsize
        self.channel: Channel[int] = Channel(maxsize)
        self.items: list[int] = []
        self.closed = False
        self.error: Exception | None = None

    def ends_with(self) -> type[Exception]:
        return type(self.error) if self.error else ChannelClosed

    @rule(item=st.integers(), how=st.sampled_from(["nowait", "timeout", "select"]))
    def put(self, item: int, how: str) -> None:
        def call() -> None:
            if how == "nowait":
                self.channel.put_nowait(item)
            elif how == "timeout":
                self.channel.put(item, timeout=0)
            elif select(self.channel.put_op(item), default="") != (0, None):
                raise queue.Full

        if self.closed:
            with pytest.raises(ChannelClosed):
                call()
        elif len(self.items) >= self.maxsize:
            with pytest.raises(queue.Full):
                call()
        else:
            call()
            self.items.append(item)

    @rule(how=st.sampled_from(["nowait", "timeout", "select"]))
    def get(self, how: str) -> None:
        def call() -> object:
            if how == "nowait":
                return self.channel.get_nowait()
            if how == "timeout":
                return self.channel.get(timeout=0)
            index, item = select(self.channel.get_op(), default="")
            if index < 0:
                raise queue.Empty
            return item

        if self.items:
            assert call() == self.items.pop(0)
        else:
            with pytest.raises(self.ends_with() if self.closed else queue.Empty):
                call()

    @rule(count=st.integers(0, 30))
    def put_many(self, count: int) -> None:
        for item in range(count):
            self.put(item, "nowait")

    @rule()
    def iterate(self) -> None:
        if self.closed:
            got: list[int] = []
            if self.error:
                with pytest.raises(self.ends_with()):
                    got.extend(self.channel)
            else:
                got.extend(self.channel)
                assert got == self.items
            self.items.clear()

    @rule(error=st.sampled_from([None, LookupError("a"), OSError("b")]))
    def close(self, error: Exception | None) -> None:
        self.channel.close(error)
        if not self.closed:
            self.closed, self.error = True, error

    @invariant()
    def looks_right(self) -> None:
        assert self.channel.qsize() == len(self.channel) == len(self.items)
        assert self.channel.closed == self.closed
        assert self.channel.maxsize == self.maxsize


TestChannelModel = ChannelModel.TestCase
TestChannelModel.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, database=None
)


# --- long runs ------------------------------------------------------------------------


@stress
@pytest.mark.timeout(1800)
@each_size
def test_a_million_items(maxsize: float, threads: int) -> None:
    ledger = Ledger(maxsize)
    count = 250_000

    def put(channel: Channel[int], number: int) -> None:
        channel.put(number, None if number % 3 else 1e-5)

    def get(channel: Channel[int]) -> int:
        dice = random.random()
        return channel.get(None if dice < 0.6 else 1e-5)

    putters = [
        spawn(ledger.put_some, range(i * count, (i + 1) * count), put) for i in range(3)
    ]
    thread = threading.Thread(
        target=ledger.put_some, args=(range(3 * count, 4 * count), put)
    )
    thread.start()
    getters = [spawn(ledger.get_some, get) for _ in range(3)]
    until(lambda: all(task.done() for task in putters))
    join(thread)
    ledger.channel.close()
    wait(*getters)
    ledger.check()


@stress
@pytest.mark.timeout(1800)
@each_size
def test_many_cancellations(maxsize: float, threads: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        cancel_many(maxsize, 800, Channel.put, Channel.get)
        cancel_many(maxsize, 800, select_put, select_get)
        race_timeouts(maxsize, 1000, 1e-5)
