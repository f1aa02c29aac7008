"""Trees of tasks of both pools: each runs once, on a thread of its own pool.

Their tasks wait in every way, fetch one another in any order, are under limits and in
regions, while both pools change their sizes.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest
from support.gates import join
from support.pools import interactive, pool_here, same
from support.races import ROUND, Round, in_rounds

import taskrt
from taskrt import (
    AtomicInt,
    Spawner,
    Task,
    blocking,
    fetch,
    limit,
    sleep,
    spawn,
    wait,
    yield_now,
)

pytestmark = pytest.mark.usefixtures("nervous", "interactive_threads")

pinned = Spawner(pinned=True)
SPAWNERS: list[Callable[..., Task[None]]] = [spawn, interactive, same, pinned]


class Play:
    """One round: a number of tasks to make, by one another."""

    def __init__(self, tasks: int) -> None:
        self.left = AtomicInt(tasks)
        self.made, self.ran = AtomicInt(), AtomicInt()

    def spawn_some(self, dice: random.Random) -> None:
        tasks = []
        while len(tasks) < 4 and self.left.fetch_sub(1) > 0:
            self.made.fetch_add(1)
            how = dice.choice(SPAWNERS)
            tasks.append(how(self.act, dice.getrandbits(64)))
        if dice.random() < 0.2:
            wait(*tasks, timeout=0.0005)
        dice.shuffle(tasks)
        for task in tasks:
            fetch(task)

    def act(self, seed: int) -> None:
        pool, on_interactive_thread = pool_here()
        assert (pool == "interactive") == on_interactive_thread
        self.ran.fetch_add(1)
        dice = random.Random(seed)
        what = dice.random()
        if what < 0.15:
            yield_now()
        elif what < 0.25:
            sleep(0.0001)
        elif what < 0.3:
            with blocking():
                time.sleep(0.0002)
        elif what < 0.4:
            with limit(dice.randrange(1, 4)):
                self.spawn_some(dice)
        self.spawn_some(dice)


@in_rounds
def test_each_task_runs_once_in_its_own_pool(race: Round) -> None:
    play = Play(ROUND)
    before = taskrt.num_threads(), taskrt.num_threads("interactive")

    def spawns(dice: random.Random) -> None:
        while play.left.load() > 0:
            play.spawn_some(dice)

    threads = [
        threading.Thread(target=spawns, args=(random.Random(race.dice.random()),))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    while play.left.load() > 0:
        taskrt.set_num_threads(race.dice.randrange(1, 4))
        taskrt.set_num_threads(race.dice.randrange(1, 4), "interactive")
        play.spawn_some(race.dice)
    join(*threads)
    taskrt.set_num_threads(before[0])
    taskrt.set_num_threads(before[1], "interactive")
    assert play.made.load() == play.ran.load() >= ROUND
