"""Random numbers of tasks: the same whatever runs where, others for each task."""

import copy
import os
import pickle
import random as stdlib_random
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from support.child import UNDER_ASAN, run_script
from support.gates import Gate

import taskrt
from taskrt import (
    RandomStreams,
    Spawner,
    Task,
    TaskGroup,
    fetch,
    fetch_all,
    join,
    numpy_random,
    random,
    seed_random,
    spawn,
    spawn_after,
    spawn_later,
    yield_now,
)


@pytest.fixture(autouse=True)
def _leave_unseeded() -> Iterator[None]:
    yield
    seed_random()


def draw() -> float:
    return random().random()


def draws(count: int = 3) -> list[float]:
    return [draw() for _ in range(count)]


# What a tree of tasks draws: at each of its tasks before and after it has spawned, some
# fetched in another order than they were spawned, some having yielded.
TREE = """
import hashlib
import sys
from taskrt import RandomStreams, Spawner, fetch, join, random, seed_random, spawn
from taskrt import Task, TaskGroup, spawn_after, yield_now

def tree(depth):
    first = random().getrandbits(64)
    if depth == 0:
        return [first]
    kinds = [spawn, Spawner(detached=False, name="n"), lambda *a: spawn_after([], *a)]
    tasks = [kinds[i % 3](tree, depth - 1 - i % 2) for i in range(min(depth, 4))]
    if depth % 3 == 0:
        yield_now()
    lazy = Task(tree, 0)
    with TaskGroup() as group:
        born = group.spawn(tree, 0)
    streams = RandomStreams()
    parts = {i: fetch(tasks[i]) for i in reversed(range(len(tasks)))}
    ordered = [part for i in sorted(parts) for part in parts[i]]
    pair = join(lambda: random().random(), lambda: random().random())
    return [first, *ordered, *fetch(lazy), *fetch(born), *pair,
            streams[depth].random(), random().random()]

seed_random("tree")
numbers = tree(8)
assert len(set(numbers)) == len(numbers) > 1000, len(numbers)
print(hashlib.sha256(repr(numbers).encode()).hexdigest())
"""


@pytest.mark.isolated
def test_numbers_do_not_depend_on_threads_or_on_who_runs_what() -> None:
    seen = {
        run_script(
            TREE, env={"TASKRT_NUM_THREADS": threads, "TASKRT_INLINE": inline}
        ).stdout
        for threads in "124"
        for inline in "10"
    }
    assert len(seen) == 1


def test_a_task_has_one_generator_and_its_own() -> None:
    def same() -> tuple[bool, int]:
        mine = random()
        yield_now()
        return mine is random(), id(mine)

    assert random() is random()
    assert isinstance(random(), stdlib_random.Random)
    results = fetch_all([spawn(same) for _ in range(20)])
    assert all(is_same for is_same, _ in results)
    numbers = fetch_all([spawn(draw) for _ in range(20)])
    assert len({draw(), *numbers}) == 21


def test_numbers_follow_from_the_seed_and_the_order_of_spawns() -> None:
    def run(seed: int | str | bytes) -> list[list[float]]:
        seed_random(seed)
        return [draws(), *fetch_all([spawn(draws) for _ in range(5)]), draws()]

    assert run(5) == run(5)
    seeds = [5, -5, "5", b"5", "", b"", 10**40, 0]
    assert len({repr(run(seed)) for seed in seeds}) == len(seeds)


def test_spawning_draws_nothing_and_drawing_moves_no_child() -> None:
    seed_random(1)
    quiet = draws(), fetch(spawn(draws))
    seed_random(1)
    fetch_all([spawn(draws) for _ in range(7)])
    assert draws() == quiet[0]
    seed_random(1)
    draws(1000)
    assert fetch(spawn(draws)) == quiet[1]


def test_a_seed_within_a_task_holds_for_it_and_what_it_spawns() -> None:
    def seeded() -> tuple[list[float], list[float]]:
        seed_random(3)
        return draws(), fetch(spawn(draws))

    seed_random(1)
    before = fetch(spawn(draws)), draws()
    seed_random(1)
    fetch(spawn(seeded))
    assert before[1] == draws()
    assert fetch(spawn(seeded)) == fetch(spawn(seeded)) == seeded()


def test_what_others_spawn_has_no_influence() -> None:
    def chain(depth: int) -> list[float]:
        mine = draws()
        return mine + (fetch(spawn(chain, depth - 1)) if depth else [])

    seed_random(9)
    alone = chain(20)
    seed_random(9)
    crowd = Spawner(name="first")(chain, 20)
    busy = [spawn(chain, 3) for _ in range(100)]
    crowded = fetch(crowd)
    fetch_all(busy)
    seed_random(9)
    assert fetch(spawn(chain, 20)) == crowded
    assert alone[0] not in crowded


def test_done_callbacks_leave_the_streams_alone() -> None:
    def run(calls_back: bool) -> tuple[list[float], list[float]]:
        seed_random(4)
        tasks = [spawn(draws) for _ in range(5)]
        for task in tasks if calls_back else []:
            task.add_done_callback(intrude)
        fetch_all(tasks)
        for task in tasks if calls_back else []:
            task.add_done_callback(intrude)
        return fetch(spawn(draws)), draws()

    refused = []

    def intrude(_: Task[list[float]]) -> None:
        draw()
        spawn(draw)
        RandomStreams()
        try:
            seed_random(0)
        except RuntimeError as error:
            refused.append(str(error))

    assert run(calls_back=False) == run(calls_back=True)
    assert len(refused) == 10
    assert "seed before" in refused[0]


def test_tasks_made_early_have_the_numbers_of_when_they_were_made() -> None:
    def run(later: bool) -> list[list[float]]:
        seed_random(6)
        with Gate() as gate:
            lazy = Task(draws)
            after = spawn_after([gate.task], draws)
            timed = spawn_later(0, draws)
            if later:
                fetch_all([spawn(draw) for _ in range(3)])
                lazy.schedule()
            gate.open()
            return fetch_all([lazy, after, timed])

    assert run(later=True) == run(later=False)


def test_each_thread_has_a_stream_of_its_own() -> None:
    seen: list[float] = []

    def thread(seed: int | None) -> None:
        if seed is not None:
            seed_random(seed)
        seen.append(draw())
        seen.append(fetch(spawn(draw)))

    for seed in (None, None, 1, 1):
        one = threading.Thread(target=thread, args=(seed,))
        one.start()
        one.join()
    assert seen[4:6] == seen[6:8]
    assert len(set(seen)) == 6


def test_no_two_of_many_tasks_have_the_same_stream() -> None:
    def keys(depth: int) -> list[bytes | None]:
        mine = [taskrt._core._random_key()]
        tasks = [spawn(keys, depth - 1) for _ in range(10)] if depth else []
        return mine + [key for task in tasks for key in fetch(task)]

    found = keys(5)
    assert len(found) == len(set(found)) == 111_111
    # Each bit is set in half of them, up to 6 standard deviations.
    for i in range(128):
        ones = sum((key or b"")[i // 8] >> i % 8 & 1 for key in found)
        assert abs(ones / len(found) - 0.5) < 6 * 0.5 / len(found) ** 0.5


def test_streams_of_siblings_are_independent() -> None:
    """Their numbers are uniform and uncorrelated: 6 standard deviations of 20,000."""
    seed_random(11)
    pairs = fetch_all([spawn(draws, 2) for _ in range(20_000)])
    neighbours = [(a[0], b[0]) for a, b in pairwise(pairs)]
    for sample in (pairs, neighbours):
        products = [(first - 0.5) * (second - 0.5) for first, second in sample]
        assert abs(sum(products) / len(products)) < 6 / 12 / 20_000**0.5
    mean = sum(first for first, _ in pairs) / len(pairs)
    assert abs(mean - 0.5) < 6 * (1 / 12) ** 0.5 / 20_000**0.5


def test_a_generator_can_be_copied_and_pickled() -> None:
    mine = random()
    copies = [copy.copy(mine), copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))]
    following = mine.random()
    assert [each.random() for each in copies] == [following] * 3


# --- streams by number ----------------------------------------------------------------


def test_streams_by_number_repeat_and_differ() -> None:
    streams = RandomStreams(1)
    numbers = [streams[i].random() for i in (0, 1, 255, 256, 65536, 2**70)]
    assert numbers == [streams[i].random() for i in (0, 1, 255, 256, 65536, 2**70)]
    assert len(set(numbers)) == 6
    assert len({RandomStreams(s)[0].random() for s in (None, None, 1, "1")}) == 4


def test_streams_by_number_follow_from_the_task() -> None:
    def make() -> RandomStreams:
        return RandomStreams()

    seed_random(2)
    first, second = make(), make()
    child = fetch(spawn(make))
    seed_random(2)
    assert (first, second, child) == (make(), make(), fetch(spawn(make)))
    assert len({first, second, child}) == 3


def test_streams_by_number_can_be_copied_and_pickled() -> None:
    streams = RandomStreams("p")
    for other in (copy.copy(streams), pickle.loads(pickle.dumps(streams))):
        assert other == streams
        assert hash(other) == hash(streams)
        assert other[9].random() == streams[9].random()
    assert streams != 1


def test_misuse_says_what_to_do() -> None:
    with pytest.raises(IndexError, match="from 0, and -1"):
        RandomStreams()[-1]
    with pytest.raises(TypeError, match="not iterable"):
        iter(RandomStreams())  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="a seed is an int, a str, bytes or None"):
        seed_random(1.5)  # type: ignore[arg-type]


def test_a_call_aside_moves_nothing() -> None:
    seed_random(8)
    before = fetch(spawn(draw)), fetch(spawn(draw)), draw()
    seed_random(8)
    first = fetch(spawn(draw))

    def aside(text: str, *, end: str) -> str:
        draw()
        fetch(spawn(draw))
        assert taskrt._core._random_key() is None
        assert fetch(spawn(taskrt._core._random_key)) is not None
        return text + end

    assert taskrt._core._aside(aside, "a", end="b") == "ab"
    with pytest.raises(ZeroDivisionError):
        taskrt._core._aside(divmod, 1, 0)
    assert before == (first, fetch(spawn(draw)), draw())


# --- NumPy ----------------------------------------------------------------------------


def test_numpy_generators_are_as_reproducible() -> None:
    pytest.importorskip("numpy")

    def run() -> list[float]:
        seed_random(5)

        def mine() -> float:
            assert numpy_random() is numpy_random()
            return float(numpy_random().random())

        return [mine(), fetch(spawn(mine)), fetch(spawn(mine)), mine()]

    assert run() == run()
    assert len(set(run())) == 4
    streams = RandomStreams(5)
    assert streams.numpy(3).random() == streams.numpy(3).random()
    assert streams.numpy(3).random() != streams[3].random()


@pytest.mark.isolated
def test_numpy_is_not_imported_unless_asked_for() -> None:
    run_script(
        "import sys, taskrt; taskrt.random().random(); taskrt.RandomStreams()[0];"
        "assert 'numpy' not in sys.modules"
    )


# --- forks ----------------------------------------------------------------------------

FORK = """
import os
from taskrt import fetch, random, seed_random, spawn

def draws():
    return [random().getrandbits(32) for _ in range(2)] + [
        fetch(spawn(lambda: random().getrandbits(32)))]

def forks():
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, repr(draws()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with open(read) as pipe:
        return eval(pipe.read())

def run():
    seed_random(7)
    random().random()
    return [draws(), forks(), draws(), forks(), draws()]

for where in (run, lambda: fetch(spawn(run))):
    first, second = where(), where()
    assert first == second, (first, second)
    numbers = [number for part in first for number in part]
    assert len(set(numbers)) == len(numbers), first
"""


@pytest.mark.isolated
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
def test_a_fork_has_its_own_numbers_which_repeat() -> None:
    run_script(FORK, options=["-W", "ignore::DeprecationWarning"])


def test_groups_and_joins_count_as_spawns() -> None:
    def run() -> list[object]:
        seed_random(3)
        with TaskGroup() as group:
            born = [group.spawn(draw) for _ in range(3)]
        return [*map(fetch, born), *join(draw, draw, draw), fetch(spawn(draw))]

    assert run() == run()
    assert len(set(run())) == 7
