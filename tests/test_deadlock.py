"""Fetches that could never end raise `DeadlockError`; those that can end never do."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import Gate, here, pinned, until_suspended

import taskrt
from taskrt import DeadlockError, Spawner, Task, fetch, spawn, wait

ROUNDS = 10_000

every_wait = pytest.mark.parametrize(
    "ask",
    [fetch, wait, Task.result, Task.exception],
    ids=["fetch", "wait", "result", "exception"],
)


@every_wait
def test_a_task_that_waits_for_itself(ask: Callable[[Task[Any]], object]) -> None:
    task = Spawner(name="narcissus")(lambda: ask(here()))
    with pytest.raises(DeadlockError, match="narcissus"):
        fetch(task)
    assert task.state == "failed"


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "pinned"])
def test_self_fetch_again_and_again(spawner: Callable[..., Task[Any]]) -> None:
    for _ in range(ROUNDS):
        with pytest.raises(DeadlockError):
            fetch(spawner(lambda: fetch(here())))


def test_a_task_goes_on_after_a_refused_fetch() -> None:
    def careful() -> object:
        with pytest.raises(DeadlockError):
            fetch(here())
        return fetch(spawn(int))

    assert fetch(spawn(careful)) == 0


def cycle_of(
    length: int,
    ask: Callable[[Task[Any]], object] = fetch,
    spawner: Callable[..., Task[object]] = pinned,
) -> list[Task[object]]:
    """Spawn tasks that wait for one another in a ring; the last is `tasks[-1]`."""
    tasks: list[Task[object]] = []
    filled = threading.Event()

    def link(i: int) -> object:
        filled.wait()
        return ask(tasks[(i + 1) % length])

    tasks.extend(spawner(link, i) for i in range(length))
    filled.set()
    return tasks


@every_wait
@pytest.mark.parametrize("length", [2, 3, 10, 300])
def test_a_ring_on_one_thread(length: int, ask: Callable[[Task[Any]], object]) -> None:
    tasks = cycle_of(length, ask)
    wait(tasks[0])
    assert all(t.done() for t in tasks)
    assert DeadlockError in {type(t.exception()) for t in tasks}


@pytest.mark.parametrize("length", [2, 3, 10, 100])
def test_a_ring_anywhere(length: int) -> None:
    tasks = cycle_of(length, spawner=spawn)
    assert wait(*tasks)
    assert DeadlockError in {type(t.exception()) for t in tasks}


def test_a_ring_of_two_on_one_thread_again_and_again() -> None:
    for _ in range(ROUNDS):
        one, two = cycle_of(2)
        with pytest.raises(DeadlockError):
            fetch(one)
        with pytest.raises(DeadlockError):
            fetch(two)


def test_the_error_names_the_tasks_of_the_ring() -> None:
    tasks: list[Task[object]] = []

    def link(i: int) -> object:
        return fetch(tasks[1 - i])

    for i, name in enumerate(["tweedledum", "tweedledee"]):
        tasks.append(Spawner(name=name, pinned=True)(link, i))
    with pytest.raises(DeadlockError) as caught:
        fetch(tasks[0])
    assert "tweedledum" in str(caught.value)
    assert "tweedledee" in str(caught.value)


def test_a_ring_that_suspended_tasks_close() -> None:
    """No link is a plain call: each task suspends before it closes the ring."""
    tasks: list[Task[object]] = []

    def link(i: int) -> object:
        fetch(gate.task)
        return fetch(tasks[(i + 1) % 3])

    with Gate() as gate:
        tasks.extend(spawn(link, i) for i in range(3))
        until_suspended(*tasks)
        gate.open()
        assert wait(*tasks)
    assert all(isinstance(t.exception(), DeadlockError) for t in tasks)


def test_a_ring_closed_by_a_wait_for_several() -> None:
    tasks: list[Task[object]] = []

    def many() -> object:
        fetch(gate.task)
        return wait(finished, tasks[1], finished)

    def one() -> object:
        fetch(gate.task)
        return fetch(tasks[0])

    finished = spawn(int)
    wait(finished)
    with Gate() as gate:
        tasks += [spawn(many), spawn(one)]
        until_suspended(*tasks)
        gate.open()
        assert wait(*tasks)
    assert DeadlockError in {type(t.exception()) for t in tasks}


class Duel:
    """Two plain threads, each with a task of its own, that meet round after round.

    Each round both tasks are running before either fetches the other, so the ring is
    closed from two threads at once, unless a worker has taken both tasks.
    """

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.tasks: list[list[Task[object]]] = [[], []]
        self.running = [0, 0]
        self.errors: list[list[BaseException | None]] = [[], []]

    def strike(self, side: int, turn: int) -> object:
        self.running[side] = turn + 1
        other = self.tasks[1 - side]
        patience = 1000
        while self.running[1 - side] <= turn or len(other) <= turn:
            patience -= 1
            if patience < 0:
                taskrt.yield_now()
        return fetch(other[turn])

    def fight(self, side: int) -> None:
        for turn in range(self.rounds):
            self.tasks[side].append(spawn(self.strike, side, turn))
            self.errors[side].append(self.tasks[side][turn].exception())

    def run(self) -> None:
        threads = [threading.Thread(target=self.fight, args=(s,)) for s in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.fixture
def eager_switching() -> object:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_switching")
def test_a_ring_of_two_closed_at_once_from_two_threads() -> None:
    duel = Duel(ROUNDS)
    duel.run()
    for errors in zip(*duel.errors, strict=True):
        assert all(isinstance(error, DeadlockError) for error in errors)


@pytest.fixture
def two_workers(set_num_threads: Callable[[int], object]) -> None:
    if taskrt.num_threads() < 2:
        set_num_threads(2)


@pytest.mark.usefixtures("eager_switching", "two_workers")
def test_a_ring_of_two_closed_at_once_on_workers() -> None:
    def strike(side: int, tasks: list[Task[object]], here: list[bool]) -> object:
        here[side] = True
        while not all(here):
            pass
        return fetch(tasks[1 - side])

    for _ in range(ROUNDS // 10):
        tasks: list[Task[object]] = []
        here = [False, False, False]
        tasks += [spawn(strike, side, tasks, here) for side in (0, 1)]
        here[2] = True
        assert wait(*tasks)
        assert all(isinstance(t.exception(), DeadlockError) for t in tasks)


# --- and where there is no ring, there is no error ------------------------------------


def test_a_diamond_is_not_a_ring() -> None:
    with Gate(1) as gate:
        left, right = spawn(fetch, gate.task), spawn(fetch, gate.task)
        bottom = spawn(lambda: fetch(left) + fetch(right))
        until_suspended(left, right)
        gate.open()
        assert fetch(bottom) == 2


def test_a_child_that_waits_for_its_parents_elder() -> None:
    """Fetches along a chain in both directions of spawning, none of them backwards."""
    with Gate(1) as gate:
        elder = spawn(fetch, gate.task)

        def parent() -> int:
            return int(fetch(spawn(lambda: fetch(elder) + 1)) + fetch(elder))

        task = spawn(parent)
        until_suspended(elder)
        gate.open()
        assert fetch(task) == 3


def test_a_timed_wait_in_a_ring_ends_by_its_timeout() -> None:
    tasks: list[Task[object]] = []

    def impatient() -> object:
        fetch(gate.task)
        with pytest.raises(TimeoutError):
            fetch(tasks[1], timeout=0.001)
        return "gave up"

    def patient() -> object:
        return fetch(tasks[0])

    with Gate() as gate:
        tasks.append(pinned(impatient))
        tasks.append(spawn(patient))
        until_suspended(tasks[0])
        gate.open()
        assert [fetch(t) for t in tasks] == ["gave up", "gave up"]


def test_main_waiting_for_a_foreign_thread_is_no_deadlock() -> None:
    with Gate("in the end") as gate:
        waiter = spawn(fetch, gate.task)
        until_suspended(waiter)
        threading.Timer(0.01, gate.open).start()
        assert fetch(waiter) == "in the end"
