"""Tasks of both pools wait for one another, under limits and in regions too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import Gate, here, until_suspended
from support.gauge import Gauge
from support.places import Place
from support.pools import (
    DEFAULT,
    INTERACTIVE,
    PATIENCE,
    interactive,
    pool_here,
    same,
)

import taskrt
from taskrt import (
    AtomicInt,
    Cancelled,
    CancelledError,
    Channel,
    DeadlockError,
    Event,
    Task,
    blocking,
    checkpoint,
    fetch,
    fetch_all,
    limit,
    spawn,
    thread_id,
)

# ---- waits across the two ------------------------------------------------------------


def test_pending_interactive_task_is_not_run_by_who_fetches_it(
    run: Place, set_num_threads: Callable[[int], object]
) -> None:
    set_num_threads(2)  # one that starts what a thread of the program's own has spawned

    def body() -> None:
        gate = threading.Event()
        first = interactive(gate.wait, PATIENCE)
        second = interactive(pool_here)
        waiter = spawn(fetch, second)
        until_suspended(waiter)
        assert second.state == "pending" or first.done()
        with pytest.raises(TimeoutError):
            fetch(second, timeout=0)
        gate.set()
        assert fetch(second) == fetch(waiter) == INTERACTIVE
        assert fetch(first)

    run(body)


def test_they_fetch_each_other_to_any_depth(threads: int) -> None:
    def descend(depth: int) -> int:
        if depth == 0:
            return 0
        spawner: Any = spawn if depth % 2 else interactive
        assert (here().pool == "default") == (thread_id() >= -1)
        return 1 + fetch(spawner(descend, depth - 1))

    assert fetch(interactive(descend, 300)) == 300


def test_interactive_tasks_run_each_other_as_calls() -> None:
    def fib(n: int) -> int:
        assert pool_here() == INTERACTIVE
        return n if n < 2 else fetch(same(fib, n - 1)) + fetch(same(fib, n - 2))

    assert fetch(interactive(fib, 12)) == 144


def test_they_talk_over_channels(threads: int) -> None:
    there, back = Channel[int](), Channel[int]()

    def echo() -> None:
        for item in there:
            back.put(item + 1)
        back.close()

    def drive() -> list[int]:
        seen = []
        for item in range(200):
            there.put(item)
            seen.append(back.get())
        there.close()
        return seen

    echoing = interactive(echo)
    assert fetch(spawn(drive)) == list(range(1, 201))
    fetch(echoing)


def test_main_need_not_wait_for_what_they_fetch() -> None:
    """With one thread, main's, another comes in while an interactive task waits."""
    before = taskrt.num_threads()
    taskrt.set_num_threads(1)
    try:
        done = threading.Event()

        def fetches() -> tuple[str, bool]:
            result = fetch(spawn(pool_here))
            done.set()
            return result

        task = interactive(fetches)
        assert done.wait(PATIENCE)
        assert fetch(task) == DEFAULT
    finally:
        taskrt.set_num_threads(before)


def test_circle_through_both_pools_is_refused(threads: int) -> None:
    tasks: list[Task[Any]] = []
    ready = Event()

    def turn(other: int) -> str:
        ready.wait()
        try:
            fetch(tasks[other])
        except DeadlockError as error:
            return str(error)
        return ""

    tasks += [spawn(turn, 1), interactive(turn, 0)]
    ready.set()
    texts = fetch_all(tasks)
    assert len([text for text in texts if "would never end" in text]) == 1


def test_waiting_for_a_gate_outside_holds_no_interactive_thread() -> None:
    with Gate("value") as gate:
        waiter = interactive(fetch, gate.task)
        until_suspended(waiter)
        assert fetch(interactive(pool_here)) == INTERACTIVE
        gate.open()
        assert fetch(waiter) == "value"


# ---- limits, cancellation, regions ---------------------------------------------------


def test_limit_counts_tasks_of_both_pools(
    interactive_threads: Callable[[int], None],
) -> None:
    interactive_threads(2)
    gauge, pools = Gauge(), [AtomicInt(), AtomicInt()]

    def work(expected: tuple[str, bool]) -> None:
        gauge.enter()
        assert pool_here() == expected
        pools[expected == INTERACTIVE].fetch_add(1)
        checkpoint()
        gauge.leave()

    def block() -> None:
        with limit(2):
            tasks = [
                (interactive if i % 2 else spawn)(
                    work, INTERACTIVE if i % 2 else DEFAULT
                )
                for i in range(60)
            ]
            fetch_all(tasks)

    fetch(spawn(block))
    assert gauge.most <= 2
    assert [pool.load() for pool in pools] == [30, 30]


def test_pending_interactive_task_can_be_cancelled() -> None:
    gate = threading.Event()
    first = interactive(gate.wait, PATIENCE)
    second = interactive(pool_here)
    second.cancel()
    gate.set()
    with pytest.raises(CancelledError):
        fetch(second)
    assert fetch(first)


def test_suspended_interactive_task_can_be_cancelled() -> None:
    ended: list[bool] = []

    def wait_for_ever() -> None:
        try:
            Event().wait()
        except Cancelled:
            ended.append(thread_id() <= -2)
            raise

    task = interactive(wait_for_ever)
    until_suspended(task)
    task.cancel()
    with pytest.raises(CancelledError):
        fetch(task)
    assert ended == [True]


def test_error_is_the_fetchers() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fetch(interactive(fail))


def test_region_that_blocks_brings_in_an_interactive_thread() -> None:
    gate = threading.Event()

    def block() -> bool:
        with blocking():
            return gate.wait(PATIENCE)

    first = interactive(block)
    fetch(interactive(gate.set))
    assert fetch(first)
