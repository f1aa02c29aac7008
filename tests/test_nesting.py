"""Tasks that spawn and fetch tasks: deep, wide, and from threads that come and go."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import Gate, join, pinned, until

import taskrt
from taskrt import Task, TaskLostError, fetch, spawn, wait

CHAIN = 100_000

Tree = list["Tree"] | int


def fib(n: int) -> int:
    if n < 2:
        return n
    task = spawn(fib, n - 2)
    return fib(n - 1) + fetch(task)


def serial_fib(n: int) -> int:
    return n if n < 2 else serial_fib(n - 1) + serial_fib(n - 2)


def test_fib_with_a_task_at_every_level() -> None:
    assert fib(18) == fetch(spawn(fib, 18)) == serial_fib(18)


def test_fib_from_inside_many_tasks_at_once() -> None:
    assert [fetch(t) for t in [spawn(fib, 10) for _ in range(50)]] == [55] * 50


def random_tree(seed: int) -> Tree:
    """Return nested lists of numbers, a thousand nodes or so."""
    dice = random.Random(seed)

    def grow(budget: int) -> Tree:
        if budget <= 1:
            return dice.randrange(100)
        parts = dice.randint(1, min(budget, 6))
        return [grow(budget // parts) for _ in range(parts)]

    return [grow(200) for _ in range(5)]


def total(tree: Tree) -> int:
    return sum(map(total, tree)) if isinstance(tree, list) else tree


def total_in_tasks(tree: Tree, dice: random.Random) -> int:
    """Sum the leaves; every node waits for its children in an order of its own."""
    if not isinstance(tree, list):
        return tree
    tasks = [spawn(total_in_tasks, part, random.Random(dice.random())) for part in tree]
    if dice.random() < 0.2:
        taskrt.yield_now()
    if dice.random() < 0.2:
        wait(*tasks)
    dice.shuffle(tasks)
    return sum(map(fetch, tasks))


@pytest.mark.parametrize("seed", range(10))
def test_random_trees_give_the_serial_answer(seed: int) -> None:
    tree = random_tree(seed)
    assert total_in_tasks(tree, random.Random(seed)) == total(tree)


@pytest.mark.parametrize("seed", range(5))
def test_random_graphs_give_the_serial_answer(seed: int) -> None:
    """Each node fetches earlier nodes, several of them fetched by many."""
    dice = random.Random(seed)
    parents = [dice.sample(range(i), min(i, dice.randrange(4))) for i in range(500)]
    expected: list[int] = []
    for i, above in enumerate(parents):
        expected.append(i + max((expected[p] for p in above), default=0))

    tasks: list[Task[int]] = []

    def node(i: int, above: list[Task[int]]) -> int:
        return i + max(map(fetch, above), default=0)

    for i, above in enumerate(parents):
        tasks.append(spawn(node, i, [tasks[p] for p in above]))
    order = list(range(500))
    dice.shuffle(order)
    assert [fetch(tasks[i]) for i in order] == [expected[i] for i in order]


# --- chains ---------------------------------------------------------------------------


def link(previous: Task[int]) -> int:
    return fetch(previous) + 1


def chain(
    spawner: Callable[..., Task[int]] = spawn, length: int = CHAIN
) -> list[Task[int]]:
    """Return the tasks of a chain, each of which fetches the one before."""
    tasks = [spawner(int)]
    for _ in range(length):
        tasks.append(spawner(link, tasks[-1]))
    return tasks


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "pinned"])
def test_long_chain_fetched_from_its_end(spawner: Callable[..., Task[Any]]) -> None:
    assert fetch(chain(spawner)[-1]) == CHAIN


def test_long_chain_fetched_from_its_start() -> None:
    assert [fetch(t) for t in chain()] == list(range(CHAIN + 1))


def test_long_chain_waited_for_as_a_whole() -> None:
    tasks = chain()
    assert wait(*reversed(tasks))
    assert fetch(tasks[-1]) == CHAIN


def test_long_chain_fetched_inside_a_task() -> None:
    assert fetch(spawn(lambda: fetch(chain()[-1]))) == CHAIN


def test_long_chain_left_to_the_workers() -> None:
    last = chain()[-1]
    until(last.done)
    assert fetch(last) == CHAIN


def test_long_chain_fetched_by_a_foreign_thread_while_main_waits() -> None:
    got = []
    last = chain()[-1]
    thread = threading.Thread(target=lambda: got.append(fetch(last)))
    thread.start()
    wait(last)
    thread.join()
    assert got == [CHAIN]


def test_long_chain_fetched_by_a_foreign_thread_alone() -> None:
    got = []
    thread = threading.Thread(target=lambda: got.append(fetch(chain()[-1])))
    thread.start()
    thread.join()
    assert got == [CHAIN]


def descend(depth: int) -> int:
    return 0 if depth == 0 else fetch(spawn(descend, depth - 1)) + 1


def test_nesting_a_hundred_thousand_deep() -> None:
    assert fetch(spawn(descend, CHAIN)) == CHAIN


def test_long_chain_that_fails_at_its_root() -> None:
    error = KeyError("root")

    def root() -> int:
        raise error

    last = spawn(root)
    for _ in range(5_000):
        last = spawn(link, last)
    with pytest.raises(KeyError) as caught:
        fetch(last)
    assert caught.value is error


def int_of(task: Task[object]) -> int:
    value = fetch(task)
    assert isinstance(value, int)
    return value


def test_long_chain_behind_a_gate() -> None:
    """Everything is suspended or pending until the first of the chain ends."""
    with Gate(0) as gate:
        last = spawn(int_of, gate.task)
        for _ in range(3_000):
            last = spawn(link, last)
        assert wait(last, timeout=0) is False
        gate.open()
        assert fetch(last) == 3_000


# --- foreign threads ------------------------------------------------------------------


def test_fifty_threads_that_come_and_go() -> None:
    results = []

    def run(n: int) -> None:
        results.append(fib(n))
        leftover.append(spawn(fib, 5))

    for _ in range(4):
        leftover: list[Task[int]] = []
        threads = [threading.Thread(target=run, args=(10,)) for _ in range(50)]
        for thread in threads:
            thread.start()
        inside = spawn(fib, 12)
        assert fetch(inside) == 144
        join(*threads)
        assert [fetch(t) for t in leftover] == [5] * 50
    assert results == [55] * 200


def test_what_an_ended_thread_left_behind_still_runs() -> None:
    left: list[Task[int]] = []
    thread = threading.Thread(
        target=lambda: left.extend(spawn(int) for _ in range(100))
    )
    thread.start()
    thread.join()
    until(lambda: all(t.done() for t in left))


def test_a_foreign_thread_needs_nobody_for_its_own_tasks() -> None:
    got = []
    thread = threading.Thread(target=lambda: got.append(fib(12)))
    thread.start()
    thread.join()
    assert got == [144]


def test_a_task_may_pin_whichever_thread_runs_it() -> None:
    got = []

    def parent() -> object:
        return fetch(pinned(threading.get_ident)) == threading.get_ident()

    thread = threading.Thread(target=lambda: got.append(fetch(spawn(parent))))
    thread.start()
    thread.join()
    assert got == [True]


def test_pinned_task_of_an_ended_thread_is_lost() -> None:
    left: list[Task[int]] = []
    thread = threading.Thread(target=lambda: left.append(pinned(int)))
    thread.start()
    thread.join()
    with pytest.raises(TaskLostError, match="thread"):
        fetch(left[0])


def test_waiter_of_a_pinned_task_learns_that_its_thread_has_ended() -> None:
    left: list[Task[int]] = []
    spawned, go = threading.Event(), threading.Event()

    def run() -> None:
        left.append(pinned(int))
        spawned.set()
        go.wait()

    thread = threading.Thread(target=run)
    thread.start()
    spawned.wait()
    waiter = spawn(fetch, left[0])
    until(lambda: waiter.state == "suspended")
    go.set()
    with pytest.raises(TaskLostError):
        fetch(waiter)
    thread.join()


def test_a_foreign_thread_runs_nothing_but_what_it_waits_for() -> None:
    """While it sleeps in a fetch it never turns into a worker."""
    with Gate() as gate:
        thread = threading.Thread(target=fetch, args=(gate.task,))
        thread.start()
        tasks = [spawn(threading.get_native_id) for _ in range(200)]
        natives = {fetch(t) for t in tasks}
        assert thread.native_id not in natives
        gate.open()
        thread.join()


def test_a_worker_takes_what_a_foreign_thread_spawned() -> None:
    """The thread waits for something else, and so does main: workers run its tasks."""
    ran: list[int] = []

    def work(i: int) -> None:
        ran.append(i)
        if len(ran) == 50:
            gate.open()

    def run() -> None:
        for i in range(50):
            spawn(work, i)
        fetch(gate.task)

    with Gate() as gate:
        thread = threading.Thread(target=run)
        thread.start()
        fetch(gate.task)
        thread.join()
    assert sorted(ran) == list(range(50))
