"""Memory that must not grow, whatever is done again and again."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import pytest
from support.gates import Gate, join, pinned, until_suspended
from support.growth import blocks_left_by, settle

import taskrt
from taskrt import RandomStreams, Task, fetch, limit, random, sleep, spawn, wait


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def fail() -> None:
    raise ValueError("expected")


def plain() -> None:
    fib(8)


def failing() -> None:
    for spawner in (spawn, pinned):
        assert isinstance(spawner(fail).exception(), ValueError)


def failing_chain() -> None:
    def pass_on(task: Task[None]) -> None:
        fetch(task)

    task: Task[None] = spawn(fail)
    for _ in range(5):
        task = spawn(pass_on, task)
    assert isinstance(task.exception(), ValueError)


def cancelled() -> None:
    with Gate() as gate:
        tasks: list[Task[object]] = [spawn(fetch, gate.task) for _ in range(5)]
        until_suspended(*tasks)
        tasks.append(pinned(int))
        for task in tasks:
            task.cancel("enough")
        wait(*tasks)


def suspended() -> None:
    with Gate() as gate:
        tasks = [spawn(fetch, gate.task) for _ in range(5)]
        until_suspended(*tasks)
        gate.open()
        wait(*tasks)


def timed_out() -> None:
    with Gate() as gate:
        for _ in range(5):
            wait(gate.task, timeout=0.0001)
        task = spawn(lambda: [wait(gate.task, timeout=0.0001) for _ in range(5)])
        assert fetch(task) == [False] * 5


def called_back() -> None:
    task = spawn(int)
    for _ in range(5):
        task.add_done_callback(lambda _: None)
    fetch(task)


def from_a_thread() -> None:
    thread = threading.Thread(target=fib, args=(6,))
    thread.start()
    thread.join()


def limited() -> None:
    with limit(2), limit(1):
        tasks = [spawn(sleep, 0.0001) for _ in range(3)]
        tasks[0].cancel()
        fib(5)
        wait(*tasks)


def drawn() -> None:
    wait(*[spawn(lambda: random().random()) for _ in range(5)])
    RandomStreams()[5].random()


def resized() -> None:
    before = taskrt.num_threads()
    for n in (before + 2, 1, before):
        taskrt.set_num_threads(n)
        fib(6)


@pytest.mark.parametrize(
    ("use", "rounds"),
    [
        (plain, 50),
        (failing, 200),
        (failing_chain, 50),
        (cancelled, 50),
        (suspended, 50),
        (timed_out, 50),
        (called_back, 200),
        (from_a_thread, 100),
        (limited, 100),
        (drawn, 100),
        (resized, 20),
    ],
)
def test_memory_is_steady(use: Callable[[], object], rounds: int) -> None:
    assert blocks_left_by(use, rounds) <= rounds // 10


def fetch_in_order(spawner: Callable[..., Task[int]], rounds: int) -> None:
    """Each fetch runs the task here; its entry lies at the far end of the queue."""
    for _ in range(rounds):
        tasks = [spawner(int) for _ in range(100)]
        assert [fetch(task) for task in tasks] == [0] * 100


def in_main(use: Callable[[], None]) -> None:
    use()


def in_a_task(use: Callable[[], None]) -> None:
    fetch(spawn(use))


def in_a_thread(use: Callable[[], None]) -> None:
    thread = threading.Thread(target=use)
    thread.start()
    join(thread)


@pytest.mark.parametrize("where", [in_main, in_a_task, in_a_thread])
@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "pinned"])
def test_entries_of_tasks_that_were_run_inline_do_not_pile_up(
    spawner: Callable[..., Task[int]], where: Callable[[Callable[[], None]], None]
) -> None:
    left: list[int] = []

    def use() -> None:
        fetch_in_order(spawner, 20)
        before = sys.getallocatedblocks()
        fetch_in_order(spawner, 200)
        left.append(sys.getallocatedblocks() - before)

    where(use)
    assert left[0] < 2_000


def resident_pages() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_resident_memory_is_steady_over_many_tasks() -> None:
    def burst() -> None:
        for _ in range(20):
            wait(*[spawn(int) for _ in range(1000)])
        for _ in range(1000):
            fetch(spawn(int))

    for _ in range(3):
        burst()
    settle()
    before = resident_pages()
    for _ in range(10):
        burst()
    settle()
    grown = (resident_pages() - before) * os.sysconf("SC_PAGE_SIZE")
    assert grown < 4 << 20


def test_threads_that_ended_leave_nothing_behind() -> None:
    def burst() -> None:
        threads = [threading.Thread(target=fib, args=(5,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert blocks_left_by(burst, 20) <= 20
