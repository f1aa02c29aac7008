"""Tasks that spawn and fetch tasks: deep, wide, and from threads that come and go."""

from __future__ import annotations

import random
import threading

import pytest
from support.gates import Gate, pinned, until

import taskrt
from taskrt import fetch, spawn, wait

CHAIN = 100_000


def fib(n):
    if n < 2:
        return n
    task = spawn(fib, n - 2)
    return fib(n - 1) + fetch(task)


def serial_fib(n):
    return n if n < 2 else serial_fib(n - 1) + serial_fib(n - 2)


def test_fib_with_a_task_at_every_level():
    assert fib(18) == fetch(spawn(fib, 18)) == serial_fib(18)


def test_fib_from_inside_many_tasks_at_once():
    assert [fetch(t) for t in [spawn(fib, 10) for _ in range(50)]] == [55] * 50


def random_tree(seed):
    """Return nested lists of numbers, a thousand nodes or so."""
    dice = random.Random(seed)

    def grow(budget):
        if budget <= 1:
            return dice.randrange(100)
        parts = dice.randint(1, min(budget, 6))
        return [grow(budget // parts) for _ in range(parts)]

    return [grow(200) for _ in range(5)]


def total(tree):
    return sum(map(total, tree)) if isinstance(tree, list) else tree


def total_in_tasks(tree, dice):
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
def test_random_trees_give_the_serial_answer(seed):
    tree = random_tree(seed)
    assert total_in_tasks(tree, random.Random(seed)) == total(tree)


@pytest.mark.parametrize("seed", range(5))
def test_random_graphs_give_the_serial_answer(seed):
    """Each node fetches earlier nodes, several of them fetched by many."""
    dice = random.Random(seed)
    parents = [dice.sample(range(i), min(i, dice.randrange(4))) for i in range(500)]
    expected: list[int] = []
    for i, above in enumerate(parents):
        expected.append(i + max((expected[p] for p in above), default=0))

    tasks: list[taskrt.Task[int]] = []

    def node(i, above):
        return i + max(map(fetch, above), default=0)

    for i, above in enumerate(parents):
        tasks.append(spawn(node, i, [tasks[p] for p in above]))
    order = list(range(500))
    dice.shuffle(order)
    assert [fetch(tasks[i]) for i in order] == [expected[i] for i in order]


# --- chains ----------------------------------------------------------------------------


def link(previous):
    return fetch(previous) + 1


def chain(spawner=spawn, length=CHAIN):
    """Return the tasks of a chain, each of which fetches the one before."""
    tasks = [spawner(int)]
    for _ in range(length):
        tasks.append(spawner(link, tasks[-1]))
    return tasks


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "pinned"])
def test_long_chain_fetched_from_its_end(spawner):
    assert fetch(chain(spawner)[-1]) == CHAIN


def test_long_chain_fetched_from_its_start():
    assert [fetch(t) for t in chain()] == list(range(CHAIN + 1))


def test_long_chain_waited_for_as_a_whole():
    tasks = chain()
    assert wait(*reversed(tasks))
    assert fetch(tasks[-1]) == CHAIN


def test_long_chain_fetched_inside_a_task():
    assert fetch(spawn(lambda: fetch(chain()[-1]))) == CHAIN


def test_long_chain_left_to_the_workers():
    last = chain()[-1]
    until(last.done)
    assert fetch(last) == CHAIN


def test_long_chain_fetched_by_a_foreign_thread_while_main_waits():
    got = []
    last = chain()[-1]
    thread = threading.Thread(target=lambda: got.append(fetch(last)))
    thread.start()
    wait(last)
    thread.join()
    assert got == [CHAIN]


def test_long_chain_fetched_by_a_foreign_thread_alone():
    got = []
    thread = threading.Thread(target=lambda: got.append(fetch(chain()[-1])))
    thread.start()
    thread.join()
    assert got == [CHAIN]


def descend(depth):
    return 0 if depth == 0 else fetch(spawn(descend, depth - 1)) + 1


def test_nesting_a_hundred_thousand_deep():
    assert fetch(spawn(descend, CHAIN)) == CHAIN


def test_long_chain_that_fails_at_its_root():
    error = KeyError("root")

    def root():
        raise error

    last = spawn(root)
    for _ in range(5_000):
        last = spawn(link, last)
    with pytest.raises(KeyError) as caught:
        fetch(last)
    assert caught.value is error


def test_long_chain_behind_a_gate():
    """Everything is suspended or pending until the first of the chain ends."""
    with Gate(0) as gate:
        last = gate.task
        for _ in range(3_000):
            last = spawn(link, last)
        assert wait(last, timeout=0) is False
        gate.open()
        assert fetch(last) == 3_000


# --- foreign threads -------------------------------------------------------------------


def test_fifty_threads_that_come_and_go():
    results = []

    def run(n):
        results.append(fib(n))
        leftover.append(spawn(fib, 5))

    for _ in range(4):
        leftover: list[taskrt.Task[int]] = []
        threads = [threading.Thread(target=run, args=(10,)) for _ in range(50)]
        for thread in threads:
            thread.start()
        inside = spawn(fib, 12)
        assert fetch(inside) == 144
        for thread in threads:
            thread.join()
        assert [fetch(t) for t in leftover] == [5] * 50
    assert results == [55] * 200


def test_what_an_ended_thread_left_behind_still_runs():
    left = []
    thread = threading.Thread(target=lambda: left.extend(spawn(int) for _ in range(100)))
    thread.start()
    thread.join()
    until(lambda: all(t.done() for t in left))


def test_a_foreign_thread_needs_nobody_for_its_own_tasks():
    got = []
    thread = threading.Thread(target=lambda: got.append(fib(12)))
    thread.start()
    thread.join()
    assert got == [144]


def test_a_task_may_pin_whichever_thread_runs_it():
    got = []

    def parent():
        return fetch(pinned(threading.get_ident)) == threading.get_ident()

    thread = threading.Thread(target=lambda: got.append(fetch(spawn(parent))))
    thread.start()
    thread.join()
    assert got == [True]


def test_a_foreign_thread_runs_nothing_but_what_it_waits_for():
    """While it sleeps in a fetch it never turns into a worker."""
    natives = []
    with Gate() as gate:
        thread = threading.Thread(target=fetch, args=(gate.task,))
        thread.start()
        tasks = [spawn(threading.get_native_id) for _ in range(200)]
        natives = {fetch(t) for t in tasks}
        assert thread.native_id not in natives
        gate.open()
        thread.join()


def test_a_worker_takes_what_a_foreign_thread_spawned():
    with Gate() as gate:
        spawned = []

        def run():
            spawned.extend(spawn(int) for _ in range(50))
            fetch(gate.task)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: len(spawned) == 50 and all(t.done() for t in spawned))
        gate.open()
        thread.join()
