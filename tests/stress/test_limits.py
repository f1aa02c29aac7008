"""Places of limits are neither lost nor given twice, whatever tasks do in them.

Trees of tasks open limits within limits, wait in every way, are cancelled, fetched
inline or run by thieves; each limit counts who is in it with a plain lock of its own.
A place that was lost hangs the test.
"""

from __future__ import annotations

import random
import threading
import time

import pytest
from support.gates import join
from support.gauge import Gauge
from support.races import ROUND, Round, in_rounds

from taskrt import (
    CancelledError,
    Lock,
    Spawner,
    Task,
    TaskGroup,
    fetch,
    limit,
    sleep,
    spawn,
    wait,
    yield_now,
)

pytestmark = pytest.mark.usefixtures("nervous")

Chain = tuple[tuple[int, Gauge], ...]  # the limits that what runs is under
pinned = Spawner(pinned=True)


class Play:
    """One round: a number of steps to make, in tasks that this spawns."""

    def __init__(self, dice: random.Random, steps: int) -> None:
        self.dice = dice
        self.left = steps
        self.lock = threading.Lock()
        self.gauges: Chain = ()
        self.turn = Lock()

    def compute(self, chain: Chain, dice: random.Random) -> None:
        """Run as one of each limit of the chain."""
        for _, gauge in chain:
            gauge.enter()
        if dice.random() < 0.3:
            time.sleep(0)
        for _, gauge in chain:
            gauge.leave()

    def takes_step(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def block(self, depth: int, chain: Chain, dice: random.Random) -> None:
        n = dice.choice([1, 1, 2, 3, 50])
        with limit(n):
            inner = (*chain, (n, Gauge()))
            with self.lock:
                self.gauges += (inner[-1],)
            self.act(depth - 1, inner, dice.getrandbits(64))

    def spawn_some(self, depth: int, chain: Chain, dice: random.Random) -> None:
        how = dice.choice([spawn, spawn, spawn, pinned])
        tasks: list[Task[None]] = [
            how(self.act, depth - 1, chain, dice.getrandbits(64))
            for _ in range(dice.randrange(1, 6))
        ]
        if dice.random() < 0.2:
            tasks[0].cancel()
        if dice.random() < 0.2:
            wait(*tasks, timeout=0.0005)
        dice.shuffle(tasks)
        for task in tasks:
            try:
                fetch(task)
            except CancelledError:
                pass

    def act(self, depth: int, chain: Chain, seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(4):
            self.compute(chain, dice)
            if not self.takes_step():
                return
            what = dice.random()
            if what < 0.15:
                yield_now()
            elif what < 0.25:
                sleep(0.0001)
            elif what < 0.4 and depth:
                self.block(depth, chain, dice)
            elif what < 0.5 and depth:
                with TaskGroup() as group:
                    for _ in range(3):
                        group.spawn(self.act, depth - 1, chain, dice.getrandbits(64))
            elif what < 0.6:
                with self.turn:
                    yield_now()
            elif depth:
                self.spawn_some(depth, chain, dice)


@in_rounds
def test_places_are_not_lost_and_not_given_twice(race: Round) -> None:
    play = Play(race.dice, ROUND)
    threads = [
        threading.Thread(
            target=play.block, args=(4, (), random.Random(race.dice.random()))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    while play.left > 0:
        play.block(5, (), play.dice)
    join(*threads)
    for n, gauge in play.gauges:
        assert gauge.now == 0
        assert gauge.most <= n
