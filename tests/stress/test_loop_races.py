"""Loops in loops that fail, are cancelled or wait at random: all end, none is lost."""

from __future__ import annotations

import os
import random
import time

import pytest

import taskrt
from taskrt import AtomicInt, CancelScope, TaskGroup, parallel
from taskrt.parallel._blocks import Schedule, run_blocks

SCHEDULES: list[Schedule] = ["auto", "auto", "static", "greedy", "serial"]

pytestmark = [pytest.mark.stress, pytest.mark.usefixtures("threads")]


class Oops(Exception):
    pass


class Storm:
    """A tree of loops with random ends; counts the calls that have not returned."""

    def __init__(self, seed: str) -> None:
        self.dice = random.Random(seed)
        self.running = AtomicInt()

    def call(self, depth: int, path: int) -> int:
        dice = random.Random(path)
        self.running.fetch_add()
        try:
            match dice.randrange(40):
                case 0:
                    raise Oops(path)
                case 1 | 2:
                    taskrt.sleep(dice.choice([0, 1e-5, 1e-3]))
                case 3:
                    taskrt.yield_now()
                case 4:
                    with CancelScope() as scope:
                        scope.cancel()
                        taskrt.sleep(1)
            return self.loop(depth - 1, path) if depth else 1
        finally:
            self.running.fetch_sub()

    def loop(self, depth: int, path: int) -> int:
        dice = random.Random(path + 1)
        width = dice.randrange(1, 9)
        try:
            return sum(
                parallel.map(
                    lambda child: self.call(depth, 100 * path + child),
                    range(width),
                    schedule=dice.choice(SCHEDULES),
                    grain=dice.choice([None, 1, 2]),
                )
            )
        except Oops:
            if dice.random() < 0.5:
                raise
            return 0

    def run(self) -> None:
        with CancelScope() as scope:
            if self.dice.random() < 0.3:
                scope.deadline = time.monotonic() + self.dice.random() * 0.01
            try:
                self.loop(3, self.dice.randrange(10**6))
            except Oops:
                pass
        assert self.running.load() == 0


def test_a_storm_of_loops_ends() -> None:
    seed = int(os.environ.get("TASKRT_STRESS_SEED", time.time_ns() % 1_000_000))
    print(f"TASKRT_STRESS_SEED={seed}")
    for number in range(300):
        Storm(f"{seed} {number}").run()
        with TaskGroup() as group:
            for task in range(4):
                group.spawn(Storm(f"{seed} {number} {task}").run)


def test_every_index_is_done_once_while_threads_fight_for_the_last() -> None:
    for _ in range(3000):
        seen: list[int] = []
        run_blocks(9, lambda low, high, seen=seen: seen.extend(range(low, high)))
        assert sorted(seen) == list(range(9))
