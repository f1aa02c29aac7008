"""Nothing is lost when waits end at the moment they are served: a million steps each.

In each of many rounds a primitive has users that time out, are cancelled by scope or by
task, or wait for as long as it takes, see support/races.py. What was handed out is
added up, and whoever was left behind hangs the test.

Short runs are part of the suite. TASKRT_STRESS_STEPS sets the length of the long ones;
tools/test-with-chaos makes them on a build that holds threads up at random.
"""

from __future__ import annotations

import functools
import math
import os
import queue
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from support.races import Round, rounds

import taskrt
from taskrt import (
    AtomicInt,
    Barrier,
    BoundedSemaphore,
    CancelledError,
    Channel,
    ChannelClosed,
    Condition,
    Event,
    Latch,
    Lock,
    Once,
    Queue,
    RLock,
    Semaphore,
    ShutDown,
    TaskGroup,
    Waiter,
    fetch,
    select,
    sleep,
    spawn,
    wait,
    yield_now,
)

Dice = random.Random
MANY = int(os.environ.get("TASKRT_STRESS_STEPS", "1000000"))
Resize = Callable[[int], object]

pytestmark = pytest.mark.usefixtures("nervous")


@pytest.fixture
def nervous() -> Iterator[None]:
    """Let threads take turns at the interpreter as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


LONG = [pytest.mark.stress, pytest.mark.timeout(3600)]
SIZES = os.environ.get("TASKRT_STRESS_THREADS", "1,2,8").split(",")


@pytest.fixture(
    params=[
        pytest.param((2, 1500), id="short"),
        *[
            pytest.param((int(size), MANY), id=f"{size} threads", marks=LONG)
            for size in SIZES
        ],
    ]
)
def race(request: pytest.FixtureRequest, set_num_threads: Resize) -> Iterable[Round]:
    """Give rounds of few or many steps together, in a pool of some size."""
    size, steps = request.param
    set_num_threads(size)
    return rounds(steps)


def in_rounds(body: Callable[..., None]) -> Callable[..., None]:
    """Make a test of what is to be done in each round."""

    @functools.wraps(body)
    def test(race: Iterable[Round], **parameters: object) -> None:
        for one in race:
            body(race=one, **parameters)

    return test


class Books:
    """How much has gone in and out; any thread."""

    def __init__(self) -> None:
        self.numbers = AtomicInt()
        self.put, self.got = AtomicInt(), AtomicInt()
        self.put_count, self.got_count = AtomicInt(), AtomicInt()

    def new(self) -> int:
        return self.numbers.fetch_add(1) + 1

    def has_put(self, number: int) -> None:
        self.put.fetch_add(number)
        self.put_count.fetch_add(1)

    def has_got(self, number: int) -> None:
        self.got.fetch_add(number)
        self.got_count.fetch_add(1)

    def check(self) -> None:
        assert self.got_count.load() == self.put_count.load() > 0
        assert self.got.load() == self.put.load()


# --- items ----------------------------------------------------------------------------


@pytest.mark.parametrize("maxsize", [0, 1, 5, math.inf])
@in_rounds
def test_no_item_of_a_channel_is_lost(race: Round, maxsize: float) -> None:
    channel: Channel[int] = Channel(maxsize)
    books = Books()

    def put(dice: Dice, timeout: float | None) -> None:
        number = books.new()
        try:
            channel.put(number, timeout)
        except queue.Full:
            return
        books.has_put(number)

    def get(dice: Dice, timeout: float | None) -> None:
        try:
            number = channel.get(timeout)
        except queue.Empty:
            return
        books.has_got(number)

    def serve() -> object:
        try:
            books.has_got(channel.get())
        except ChannelClosed:
            return False
        return True

    race.run([put, get], [put], [serve], channel.close)
    books.check()


@pytest.mark.parametrize("maxsize", [0, 1, 5])
@in_rounds
def test_no_item_of_a_queue_is_lost(race: Round, maxsize: int) -> None:
    line: Queue[int] = Queue(maxsize)
    books = Books()

    def put(dice: Dice, timeout: float | None) -> None:
        number = books.new()
        try:
            line.put(number, timeout=timeout)
        except queue.Full:
            return
        books.has_put(number)

    def get(dice: Dice, timeout: float | None) -> None:
        try:
            number = line.get(timeout=timeout)
        except queue.Empty:
            return
        books.has_got(number)
        line.task_done()

    def serve() -> object:
        try:
            books.has_got(line.get())
        except ShutDown:
            return False
        line.task_done()
        return True

    def close() -> None:
        line.join()
        line.shutdown()

    race.run([put, get], [put], [serve], close)
    books.check()


@pytest.mark.parametrize("maxsize", [0, 1])
@in_rounds
def test_no_item_of_a_select_is_lost(race: Round, maxsize: int) -> None:
    left: Channel[int] = Channel(maxsize)
    right: Channel[int] = Channel(maxsize)
    books = Books()

    def put(dice: Dice, timeout: float | None) -> None:
        number = books.new()
        a, b = dice.sample((left, right), 2)
        try:
            select(a.put_op(number), b.put_op(number), timeout=timeout)
        except TimeoutError:
            return
        books.has_put(number)

    def put_or_get(dice: Dice, timeout: float | None) -> None:
        number = books.new()
        a, b = dice.sample((left, right), 2)
        try:
            index, got = select(a.put_op(number), b.get_op(), timeout=timeout)
        except TimeoutError:
            return
        if index == 0:
            books.has_put(number)
        else:
            assert got is not None
            books.has_got(got)

    def serve() -> object:
        try:
            _, got = select(left.get_op(), right.get_op())
        except ChannelClosed:
            return False
        assert got is not None
        books.has_got(got)
        return True

    def close() -> None:
        for channel in (left, right):
            channel.close()

    race.run([put, put_or_get], [put], [serve], close)
    for channel in (left, right):
        for number in channel:
            books.has_got(number)
    books.check()


# --- permits --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Lock, RLock, Semaphore, BoundedSemaphore])
@in_rounds
def test_no_lock_is_lost_and_none_is_had_twice(
    race: Round, make: Callable[[], Any]
) -> None:
    lock = make()
    entered, plain = AtomicInt(), 0

    def enter(dice: Dice, timeout: float | None) -> None:
        nonlocal plain
        given = -1 if timeout is None and make in (Lock, RLock) else timeout
        if lock.acquire(timeout=given):
            try:
                before = plain
                if dice.random() < 0.1:
                    yield_now()
                plain = before + 1
                entered.fetch_add(1)
            finally:
                lock.release()

    race.run([enter], [enter])
    assert plain == entered.load() > 0
    assert lock.acquire(False)
    assert fetch(spawn(lock.acquire, False)) is False


@pytest.mark.parametrize("make", [Semaphore, BoundedSemaphore])
@in_rounds
def test_no_permit_of_three_is_lost(race: Round, make: Callable[[int], Any]) -> None:
    semaphore = make(3)
    inside, most = AtomicInt(), AtomicInt()

    def enter(dice: Dice, timeout: float | None) -> None:
        if semaphore.acquire(timeout=timeout):
            try:
                if inside.fetch_add(1) >= 3:
                    most.store(1)
                if dice.random() < 0.1:
                    yield_now()
            finally:
                inside.fetch_sub(1)
                semaphore.release()

    race.run([enter], [enter])
    assert most.load() == inside.load() == 0
    assert [semaphore.acquire(False) for _ in range(4)] == [True, True, True, False]


# --- wake-ups -------------------------------------------------------------------------


@in_rounds
def test_no_notification_is_lost(race: Round) -> None:
    """A buffer for one item: whoever is notified and gives up must pass it on."""
    lock = Lock()
    has_room, has_items = Condition(lock), Condition(lock)
    buffer: deque[int] = deque()
    books = Books()
    closed = False

    def put(dice: Dice, timeout: float | None) -> None:
        with lock:
            if has_room.wait_for(lambda: not buffer, timeout):
                number = books.new()
                buffer.append(number)
                books.has_put(number)
                has_items.notify()

    def get(dice: Dice, timeout: float | None) -> None:
        with lock:
            if has_items.wait_for(lambda: buffer or closed, timeout) and buffer:
                books.has_got(buffer.popleft())
                has_room.notify()

    def serve() -> bool:
        get(race.dice, None)
        return not (closed and not buffer)

    def close() -> None:
        nonlocal closed
        with lock:
            closed = True
            has_items.notify_all()

    race.run([put, get], [put], [serve], close)
    books.check()


@in_rounds
def test_no_token_of_an_event_is_lost(race: Round) -> None:
    """An event that resets itself lets one in at a time: a lock, made of wake-ups."""
    door = Event(autoreset=True)
    door.set()
    entered, plain = AtomicInt(), 0

    def enter(dice: Dice, timeout: float | None) -> None:
        nonlocal plain
        if door.wait(timeout):
            try:
                before = plain
                if dice.random() < 0.1:
                    yield_now()
                plain = before + 1
                entered.fetch_add(1)
            finally:
                door.set()

    race.run([enter], [enter])
    assert plain == entered.load() > 0
    assert door.wait(0)
    assert not door.wait(0)


@in_rounds
def test_a_set_event_leaves_nobody_behind(race: Round) -> None:
    """One event after the other: whoever takes it away sets it."""
    place: deque[Event] = deque([Event()])

    def current() -> Event:
        while True:
            try:
                return place[0]
            except IndexError:  # somebody is just about to put the next one there
                yield_now()

    def turn(dice: Dice, timeout: float | None) -> None:
        try:
            before = place.pop()
        except IndexError:
            return
        place.append(Event())
        before.set()

    def wait_for_turn(dice: Dice, timeout: float | None) -> None:
        current().wait(timeout if timeout is not None else 1e-3)

    def serve() -> bool:
        current().wait()
        return not race.over

    race.run([turn, wait_for_turn], [turn], [serve], lambda: current().set())


@in_rounds
def test_no_wake_of_a_waiter_is_lost(race: Round) -> None:
    """Who parks is woken for what was put aside, and looks at nothing else."""
    books = Books()
    places: list[tuple[Waiter, deque[int]]] = []

    def put(dice: Dice, timeout: float | None) -> None:
        if places:
            waiter, pile = dice.choice(places)
            number = books.new()
            pile.append(number)
            books.has_put(number)
            waiter.wake()
        if dice.random() < 0.1:
            yield_now()

    def serve() -> bool:
        waiter, pile = Waiter(), deque[int]()
        places.append((waiter, pile))
        dice = random.Random(len(places))
        ended = False
        while not ended:
            ended = race.over  # what was put before that is seen now
            if not ended:
                patient = dice.random() < 0.7
                woken = waiter.park(None if patient else 1e-5)
                assert woken or not patient
            while pile:
                books.has_got(pile.popleft())
        return False

    def close() -> None:
        for waiter, _ in places:
            waiter.wake()

    race.run([put], [put], [serve, serve], close)
    books.check()


# --- those that come together ---------------------------------------------------------


@in_rounds
def test_who_passes_a_barrier_does_not_pass_alone(race: Round) -> None:
    partners: Channel[tuple[Barrier, list[int]]] = Channel(math.inf)
    passed = AtomicInt()
    alone: list[list[int]] = []

    def come(dice: Dice, timeout: float | None) -> None:
        barrier, indices = Barrier(2), list[int]()
        partners.put((barrier, indices))
        try:
            indices.append(barrier.wait(timeout))
        except threading.BrokenBarrierError:
            return
        except BaseException:
            barrier.abort()
            raise
        passed.fetch_add(1)

    def serve() -> bool:
        try:
            barrier, indices = partners.get()
        except ChannelClosed:
            return False
        try:
            mine = barrier.wait()
        except threading.BrokenBarrierError:
            if indices:
                alone.append(indices)
        else:
            if indices and sorted((mine, *indices)) != [0, 1]:
                alone.append(indices)
        return True

    race.run([come], [come], [serve], partners.close)
    assert passed.load() > 0
    assert alone == []


@in_rounds
def test_who_waits_for_a_latch_goes_on(race: Round) -> None:
    latches: Channel[Latch] = Channel(8)
    counted, passed = AtomicInt(), AtomicInt()

    def come(dice: Dice, timeout: float | None) -> None:
        latch = Latch(2)
        for _ in range(2):
            latches.put(latch)
            counted.fetch_add(1)
        if latch.wait(timeout):
            passed.fetch_add(1)
            assert latch.count == 0

    def serve() -> bool:
        try:
            latch = latches.get()
        except ChannelClosed:
            return False
        latch.count_down()
        counted.fetch_sub(1)
        return True

    race.run([come], [come], [serve], latches.close)
    assert passed.load() > 0
    assert counted.load() == 0


@in_rounds
def test_once_is_done_once_whoever_gives_up(race: Round) -> None:
    shared: Channel[tuple[Once[object], list[object]]] = Channel(8)
    wrong: list[object] = []

    def come(dice: Dice, timeout: float | None) -> None:
        done: list[object] = []

        @taskrt.once
        def make() -> object:
            yield_now()
            taskrt.checkpoint()
            done.append(object())
            return done[-1]

        shared.put((make, done))
        check(make, done)

    def check(make: Once[object], done: list[object]) -> None:
        got = make()
        if len(done) != 1 or got is not done[0]:
            wrong.append(got)

    def serve() -> bool:
        try:
            make, done = shared.get()
        except ChannelClosed:
            return False
        check(make, done)
        return True

    race.run([come], [come], [serve], shared.close)
    assert wrong == []


# --- tasks and time -------------------------------------------------------------------


@in_rounds
def test_no_end_of_a_task_is_lost(race: Round) -> None:
    """Whatever becomes of those that wait, each task that starts ends once."""
    started, ended = AtomicInt(), AtomicInt()

    def body(mode: float) -> int:
        started.fetch_add(1)
        try:
            if mode < 0.3:
                yield_now()
            elif mode < 0.5:
                sleep(1e-5)
            elif mode < 0.6:
                fetch(spawn(yield_now))
            return 7
        finally:
            ended.fetch_add(1)

    def use(dice: Dice, timeout: float | None) -> None:
        tasks = [spawn(body, dice.random()) for _ in range(2)]
        if dice.random() < 0.2:
            tasks[0].cancel()
        try:
            if wait(*tasks, timeout=timeout):
                assert all(task.done() for task in tasks)
            assert fetch(tasks[1], timeout) == 7
            assert fetch(tasks[0], timeout) == 7
        except (TimeoutError, CancelledError):
            pass

    race.run([use], [use])
    taskrt.wait(spawn(int))
    while taskrt.stats()["live"]:
        yield_now()
    assert started.load() == ended.load() > 0


@in_rounds
def test_every_sleep_ends(race: Round) -> None:
    begun, ended = AtomicInt(), AtomicInt()

    def nap(dice: Dice, timeout: float | None) -> None:
        begun.fetch_add(1)
        try:
            sleep(timeout if timeout is not None else 2e-5)
        finally:
            ended.fetch_add(1)

    def nap_for_ever(dice: Dice, timeout: float | None) -> None:
        with taskrt.move_on_after(dice.choice((1e-5, 1e-4, 1e-3))):
            nap(dice, 1e6)

    race.run([nap, nap, nap_for_ever], [nap])
    assert begun.load() == ended.load() > 0


@in_rounds
def test_every_child_of_a_group_ends_before_it(race: Round) -> None:
    class ExpectedError(Exception):
        pass

    live = AtomicInt()

    def child(mine: AtomicInt, mode: float, channel: Channel[int]) -> None:
        mine.fetch_add(1)
        live.fetch_add(1)
        try:
            if mode < 0.2:
                raise ExpectedError
            if mode < 0.5:
                channel.get(1e-4)
            elif mode < 0.7:
                yield_now()
        except queue.Empty:
            pass
        finally:
            live.fetch_sub(1)
            mine.fetch_sub(1)

    def use(dice: Dice, timeout: float | None) -> None:
        channel: Channel[int] = Channel()
        mine = AtomicInt()
        try:
            with TaskGroup() as group:
                for _ in range(3):
                    group.spawn(child, mine, dice.random(), channel)
                if timeout is not None:
                    sleep(timeout)
        except* ExpectedError:
            pass
        finally:
            assert mine.load() == 0

    race.run([use], [use])
    assert live.load() == 0
