"""Nothing is lost when waits end at the moment they are served: a million steps each.

In each of many rounds a primitive has users that time out, are cancelled by scope or by
task, or wait for as long as it takes, see support/races.py. What was handed out is
added up, and whoever was left behind hangs the test.

Short runs are part of the suite; conftest.py says how long the long ones are, and
tools/test-with-chaos makes them on a build that holds threads up at random.
"""

from __future__ import annotations

import math
import queue
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from support.races import Books, Round, in_rounds

from taskrt import (
    AtomicInt,
    BoundedSemaphore,
    Channel,
    ChannelClosed,
    Condition,
    Event,
    Lock,
    Queue,
    RLock,
    Semaphore,
    ShutDown,
    Waiter,
    fetch,
    select,
    spawn,
    yield_now,
)

Dice = random.Random


class Seat:
    """For one at a time: two at once would lose a count."""

    def __init__(self) -> None:
        self._taken, self._counted = AtomicInt(), 0

    def take(self, dice: Dice) -> None:
        before = self._counted
        if dice.random() < 0.1:
            yield_now()
        self._counted = before + 1
        self._taken.fetch_add(1)

    def check(self) -> None:
        assert self._counted == self._taken.load() > 0


pytestmark = pytest.mark.usefixtures("nervous")


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
    seat = Seat()

    def enter(dice: Dice, timeout: float | None) -> None:
        given = -1 if timeout is None and make in (Lock, RLock) else timeout
        if lock.acquire(timeout=given):
            try:
                seat.take(dice)
            finally:
                lock.release()

    race.run([enter], [enter])
    seat.check()
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
    seat = Seat()

    def enter(dice: Dice, timeout: float | None) -> None:
        if door.wait(timeout):
            try:
                seat.take(dice)
            finally:
                door.set()

    race.run([enter], [enter])
    seat.check()
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
