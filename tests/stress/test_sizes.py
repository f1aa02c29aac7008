"""Large numbers: long pipelines, many suspended tasks, many children, many timers.

How long they take is measured in tests/bench; here it is that all of them end well.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest
from support.gates import until

import taskrt
from taskrt import (
    AtomicInt,
    Cancelled,
    Channel,
    Event,
    TaskGroup,
    fetch,
    sleep,
    spawn,
    wait,
)

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1800)]

Resize = Callable[[int], object]


class ExpectedError(Exception):
    """What a task of these tests fails with."""


@pytest.mark.parametrize("maxsize", [0, 1, 64])
def test_a_pipeline_of_five_stages(maxsize: int, threads: int) -> None:
    """A million items, in order, through channels that end one after the other."""
    count = 1_000_000

    def stage(source: Channel[int], target: Channel[int]) -> None:
        for item in source:
            target.put(item + 1)

    channels: list[Channel[int]] = [Channel(maxsize) for _ in range(6)]
    for source, target in itertools.pairwise(channels):
        target.bind(spawn(stage, source, target))

    def produce() -> None:
        for number in range(count):
            channels[0].put(number)

    channels[0].bind(spawn(produce))
    expected = 5
    for item in channels[-1]:
        assert item == expected
        expected += 1
    assert expected == count + 5


def test_a_hundred_thousand_suspended_tasks_are_cancelled(threads: int) -> None:
    count = 100_000
    started, cleaned_up, caught = AtomicInt(), AtomicInt(), AtomicInt()
    never = Event()

    def body(how: int) -> None:
        started.fetch_add(1)
        try:
            if how:
                never.wait()
            else:
                sleep(1e6)
        except Cancelled:
            caught.fetch_add(1)
            raise
        finally:
            cleaned_up.fetch_add(1)

    tasks = [spawn(body, i % 2) for i in range(count)]
    until(lambda: started.load() == count)
    for task in tasks:
        task.cancel()
    wait(*tasks)
    assert all(task.cancelled() for task in tasks)
    assert cleaned_up.load() == caught.load() == count


def test_a_scope_ends_a_hundred_thousand_tasks(threads: int) -> None:
    count = 100_000
    started, cleaned_up = AtomicInt(), AtomicInt()
    never = Event()

    def body() -> None:
        started.fetch_add(1)
        try:
            never.wait()
        finally:
            cleaned_up.fetch_add(1)

    with TaskGroup() as group:
        for _ in range(count):
            group.spawn(body)
        until(lambda: started.load() == count)
        group.cancel()
    assert cleaned_up.load() == count


@pytest.mark.parametrize("which", [0, 5_000, 9_999])
def test_a_group_of_ten_thousand_of_which_one_fails(which: int, threads: int) -> None:
    started, cleaned_up = AtomicInt(), AtomicInt()
    never = Event()

    def child(number: int) -> None:
        started.fetch_add(1)
        try:
            if number == which:
                until(lambda: started.load() == 10_000)
                raise ExpectedError
            never.wait()
        finally:
            cleaned_up.fetch_add(1)

    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        tasks = [group.spawn(child, number) for number in range(10_000)]
    assert [type(error) for error in caught.value.exceptions] == [ExpectedError]
    assert cleaned_up.load() == 10_000
    assert sum(task.cancelled() for task in tasks) == 9_999


def test_a_million_timers_are_cancelled_or_fire(threads: int) -> None:
    fired = AtomicInt()

    def fire() -> None:
        fired.fetch_add(1)

    never = [taskrt.spawn_later(1e6, fire) for _ in range(500_000)]
    soon = [taskrt.spawn_later(i * 2e-6, fire) for i in range(500_000)]
    assert all(task.cancel() for task in never)
    wait(*soon)
    assert fired.load() == 500_000
    assert all(task.cancelled() for task in never)
    assert not any(task.cancelled() for task in soon)


def test_a_hundred_thousand_sleeps_end(threads: int) -> None:
    ended = AtomicInt()

    def nap(seconds: float) -> None:
        sleep(seconds)
        ended.fetch_add(1)

    tasks = [spawn(nap, i * 1e-5) for i in range(100_000)]
    wait(*tasks)
    assert ended.load() == 100_000
    for task in tasks:
        task.result()


def test_ten_thousand_plain_waits_of_threads_end(set_num_threads: Resize) -> None:
    """Threads that come, wait for a task or an event, and go."""
    set_num_threads(2)
    ended = AtomicInt()
    for _ in range(50):
        event = Event()
        task = spawn(event.wait)

        def run(task: taskrt.Task[bool] = task, event: Event = event) -> None:
            assert fetch(task)
            assert event.wait()
            ended.fetch_add(1)

        threads = [threading.Thread(target=run) for _ in range(200)]
        for thread in threads:
            thread.start()
        event.set()
        for thread in threads:
            thread.join()
    assert ended.load() == 10_000
