"""Long random runs: every task exactly once, no hang, no leak, whatever happens.

Random ones print their seed; TASKRT_STRESS_SEED repeats a run.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator

import pytest
from support.gates import Gate, here, join, pinned, until, until_suspended

import taskrt
from taskrt import (
    CancelledError,
    DeadlockError,
    Spawner,
    Task,
    cancel_requested,
    checkpoint,
    fetch,
    spawn,
    wait,
    yield_now,
)

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1800)]

Resize = Callable[[int], object]


@pytest.fixture
def dice() -> random.Random:
    seed = int(os.environ.get("TASKRT_STRESS_SEED", time.time_ns() % 1_000_000))
    print(f"TASKRT_STRESS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(params=[5e-3, 1e-6], ids=["calm", "nervous"])
def switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run with the usual switch interval, and with the shortest."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def test_a_million_failing_tasks_leave_nothing_behind() -> None:
    def fail(junk: object) -> None:
        raise ValueError(junk)

    def storm(count: int) -> None:
        for _ in range(count // 1000):
            tasks = [spawn(fail, [i]) for i in range(900)]
            tasks += [pinned(fail, [i]) for i in range(100)]
            failures = [task.exception() for task in tasks]
            assert all(isinstance(failure, ValueError) for failure in failures)

    storm(100_000)
    gc.collect()
    blocks, resident = sys.getallocatedblocks(), resident_bytes()
    storm(1_000_000)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 1000
    assert resident_bytes() - resident < 16 << 20


def test_a_million_unobserved_failures_are_each_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 0
    lock = threading.Lock()

    def hook(report: object) -> None:
        nonlocal count
        del report
        with lock:
            count += 1

    def fail() -> None:
        raise ValueError

    monkeypatch.setattr(sys, "unraisablehook", hook)
    for _ in range(1000):
        wait(*[spawn(fail) for _ in range(1000)])
    until(lambda: gc.collect() >= 0 and count >= 1_000_000)
    assert count == 1_000_000


def test_five_million_tasks_in_flat_memory() -> None:
    def burst() -> None:
        for _ in range(500):
            wait(*[spawn(int) for _ in range(1000)])

    burst()
    before = resident_bytes()
    for _ in range(9):
        burst()
    assert resident_bytes() - before < 10 << 20


def test_a_hundred_stops_and_starts(set_num_threads: Resize) -> None:
    set_num_threads(4)
    for _ in range(100):
        with Gate() as gate:
            tasks = [spawn(fetch, gate.task) for _ in range(20)]
            until_suspended(*tasks)
        assert fib(10) == 55
        assert taskrt.shutdown() is True


@pytest.mark.usefixtures("switching")
def test_rings_closed_at_once_by_workers(
    set_num_threads: Resize, dice: random.Random
) -> None:
    set_num_threads(4)
    for _ in range(20_000):
        length = dice.randint(2, 5)
        tasks: list[Task[object]] = []
        filled = threading.Event()

        def link(i: int, tasks: list[Task[object]] = tasks, n: int = length) -> object:
            filled.wait()
            return fetch(tasks[(i + 1) % n])

        tasks.extend(spawn(link, i) for i in range(length))
        filled.set()
        assert wait(*tasks)
        assert DeadlockError in {type(task.exception()) for task in tasks}


@pytest.mark.usefixtures("switching")
def test_everything_at_once(set_num_threads: Resize, dice: random.Random) -> None:
    """Random trees of tasks that spawn, fetch, wait, yield, fail, cancel and time out,
    from main and from threads that come and go, while the pool changes its size.

    Every task counts itself once; every fetch has one of the outcomes that it may have.
    """
    counted: list[int] = []
    lock = threading.Lock()

    class Expected(Exception):
        pass

    def next_number() -> int:
        with lock:
            counted.append(0)
            return len(counted) - 1

    def node(depth: int, number: int, seed: float) -> int:
        counted[number] += 1
        own = random.Random(seed)
        children: list[Task[int]] = []
        for _ in range(own.randrange(5) if depth else 0):
            spawner = own.choice([Spawner(name="n"), Spawner(context=None)])
            child = spawner(node, depth - 1, next_number(), own.random())
            child.defuse()  # nobody fetches it if this task is cancelled
            children.append(child)
        for child_task in own.sample(children, len(children)):
            act = own.randrange(12)
            if act == 0:
                child_task.cancel()
            elif act == 1:
                wait(child_task, timeout=own.choice([0, 1e-5, 1e-3]))
            elif act == 2:
                yield_now()
            elif act == 3:
                child_task.add_done_callback(lambda task: task.exception)
            elif act == 4:
                checkpoint()
            try:
                assert fetch(child_task) >= 0
            except (CancelledError, Expected):
                pass
        if own.randrange(20) == 0:
            raise Expected
        return number

    def root(seed: float) -> None:
        task = spawn(node, 5, next_number(), seed)
        try:
            fetch(task)
        except (CancelledError, Expected):
            pass

    def stranger(seed: float) -> None:
        own = random.Random(seed)
        for _ in range(5):
            root(own.random())

    for _ in range(60):
        set_num_threads(dice.choice([1, 2, 3, 4, 8]))
        threads = [
            threading.Thread(target=stranger, args=(dice.random(),)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for _ in range(20):
            root(dice.random())
        join(*threads)
    until(lambda: taskrt.stats()["live"] == 0)
    assert max(counted) == 1
    assert fib(10) == 55


@pytest.mark.usefixtures("switching")
def test_cancel_storm(set_num_threads: Resize, dice: random.Random) -> None:
    """Tasks in every state are cancelled from everywhere; each has one outcome."""
    set_num_threads(4)

    def waits(task: Task[object]) -> object:
        try:
            return fetch(task)
        finally:
            left.append(1)

    def busy() -> int:
        for i in range(200):
            if cancel_requested():
                checkpoint()
            if i % 50 == 0:
                yield_now()
        return 1

    for _ in range(300):
        left: list[int] = []
        with Gate("gate") as gate:
            suspended: list[Task[object]] = [spawn(waits, gate.task) for _ in range(20)]
            tasks = suspended + [spawn(busy) for _ in range(30)]
            victims = dice.sample(tasks, len(tasks) // 2)

            def attack(victims: list[Task[object]] = victims) -> None:
                for victim in victims:
                    victim.cancel("storm")

            threads = [threading.Thread(target=attack) for _ in range(2)]
            for thread in threads:
                thread.start()
            if dice.random() < 0.5:
                gate.open()
            for thread in threads:
                thread.join()
            gate.open()
            wait(*tasks)
            for task in tasks:
                if task.cancelled():
                    assert task in victims
                    with pytest.raises(CancelledError, match="storm"):
                        fetch(task)
                else:
                    assert fetch(task) in ("gate", 1)
            assert len(left) <= 20


@pytest.mark.usefixtures("switching")
def test_timeouts_race_with_ends(set_num_threads: Resize, dice: random.Random) -> None:
    set_num_threads(4)

    def impatient(task: Task[object], timeout: float) -> bool:
        return wait(task, timeout=timeout)

    for _ in range(2_000):
        with Gate() as gate:
            tasks = [
                spawn(impatient, gate.task, dice.choice([0, 1e-6, 1e-5, 1e-4, 60]))
                for _ in range(20)
            ]
            if dice.random() < 0.5:
                yield_now()
            gate.open()
            assert all(fetch(task) in (True, False) for task in tasks)


@pytest.mark.usefixtures("switching")
def test_size_changes_all_the_time(
    set_num_threads: Resize, dice: random.Random
) -> None:
    stop = threading.Event()

    def resize(seed: float) -> None:
        own = random.Random(seed)
        while not stop.is_set():
            set_num_threads(own.choice([1, 2, 3, 5, 8, 64]))

    threads = [threading.Thread(target=resize, args=(dice.random(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            with Gate() as gate:
                held = [spawn(fetch, gate.task) for _ in range(20)]
                assert fib(10) == 55
                gate.open()
                assert wait(*held)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_sixty_four_workers_on_few_processors(set_num_threads: Resize) -> None:
    set_num_threads(64)
    for _ in range(100):
        tasks = [spawn(fib, 10) for _ in range(128)]
        assert [fetch(task) for task in tasks] == [55] * 128


def test_two_hundred_threads_that_come_and_go(dice: random.Random) -> None:
    results: list[int] = []
    leftover: list[Task[int]] = []

    def run(n: int) -> None:
        leftover.append(spawn(fib, 3))
        results.append(fib(n))

    for _ in range(20):
        threads = [
            threading.Thread(target=run, args=(dice.randint(5, 10),))
            for _ in range(200)
        ]
        for thread in threads:
            thread.start()
        fib(12)
        join(*threads)
    assert len(results) == 4000
    assert {fetch(task) for task in leftover} == {2}


def test_wake_ups_are_never_lost(set_num_threads: Resize) -> None:
    """Ping-pong: every turn, a sleeping worker has to be woken for the next task."""
    set_num_threads(2)

    def pong(event: threading.Event) -> None:
        event.set()

    for _ in range(100_000):
        event = threading.Event()
        spawn(pong, event)
        event.wait()  # main does not help: only the other worker can run it


@pytest.mark.usefixtures("switching")
def test_locks_of_python_are_let_go_under_load(set_num_threads: Resize) -> None:
    """Suspend inside sort keys and comparisons of shared objects, on many threads."""
    set_num_threads(4)
    shared = list(range(20))
    table: dict[Hashable, int] = {}
    done = threading.Event()

    class Slow:
        def __init__(self, task: Task[object], n: int) -> None:
            self.task = task
            self.n = n

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            wait(self.task)
            return isinstance(other, Slow) and self.n == other.n

    def hammer(task: Task[object], n: int) -> int:
        def key(item: int) -> int:
            if item % 5 == n % 5:
                wait(task)
            return -item

        try:
            shared.sort(key=key)
        except ValueError:
            pass
        shared.append(n)
        del shared[20:]
        table[Slow(task, n % 3)] = n
        table.pop(Slow(task, n % 3), None)
        return n

    def collect() -> None:
        while not done.wait(0.001):
            gc.collect()

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for _ in range(300):
            with Gate() as gate:
                tasks = [spawn(hammer, gate.task, n) for n in range(100)]
                until(lambda: all(t.state != "pending" for t in tasks))
                gate.open()
                assert [fetch(task) for task in tasks] == list(range(100))
    finally:
        done.set()
        collector.join()


def test_self_fetch_from_everywhere() -> None:
    def run() -> None:
        for _ in range(20_000):
            task = spawn(lambda: fetch(here()))
            assert isinstance(task.exception(), DeadlockError)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    run()
    join(*threads)
