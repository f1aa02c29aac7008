"""Nobody is left behind where several meet or end: a million steps each.

As test_races.py, for barriers, latches, once, tasks, sleeps and groups.
"""

from __future__ import annotations

import math
import queue
import random
import threading

import pytest
from support.races import Round, in_rounds

import taskrt
from taskrt import (
    AtomicInt,
    Barrier,
    CancelledError,
    Channel,
    ChannelClosed,
    Latch,
    Once,
    TaskGroup,
    fetch,
    sleep,
    spawn,
    wait,
    yield_now,
)

Dice = random.Random

pytestmark = pytest.mark.usefixtures("nervous")


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
