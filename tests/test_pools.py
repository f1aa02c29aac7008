"""The interactive pool: whose threads run what, and that it waits for no other."""

from __future__ import annotations

import ctypes
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import until
from support.native import pair
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
    Event,
    Spawner,
    Task,
    fetch,
    fetch_all,
    native,
    parallel,
    sleep,
    spawn,
    thread_id,
    wait_readable,
)

# ---- who runs what -------------------------------------------------------------------


def test_interactive_task_runs_on_a_thread_of_its_pool(run: Place) -> None:
    def body() -> None:
        task = interactive(pool_here)
        assert task.pool == "interactive"
        assert fetch(task) == INTERACTIVE

    run(body)


def test_other_tasks_are_of_the_default_pool(run: Place) -> None:
    def body() -> None:
        for spawner in (spawn, Spawner(), Spawner(pool="default"), same):
            task: Task[tuple[str, bool]] = spawner(pool_here)
            assert task.pool == "default"
            assert fetch(task) == DEFAULT

    run(body)


def test_children_of_an_interactive_task_are_of_the_default_pool() -> None:
    def spawns() -> list[tuple[str, bool]]:
        with taskrt.TaskGroup() as group:
            born = group.spawn(pool_here)
        return [
            fetch(spawn(pool_here)),
            fetch(Spawner(pool="default")(pool_here)),
            fetch(Task(pool_here).schedule()),
            fetch(taskrt.spawn_after([], pool_here)),
            fetch(born),
        ]

    assert fetch(interactive(spawns)) == [DEFAULT] * 5


def test_same_is_the_pool_of_the_spawner() -> None:
    assert fetch(interactive(lambda: fetch(same(pool_here)))) == INTERACTIVE
    assert fetch(spawn(lambda: fetch(same(pool_here)))) == DEFAULT


def test_pinned_task_stays_on_an_interactive_thread() -> None:
    def spawns() -> bool:
        task = Spawner(pinned=True)(lambda: (pool_here(), thread_id()))
        return fetch(task) == (INTERACTIVE, thread_id())

    assert fetch(interactive(spawns))


@pytest.mark.parametrize("pool", ["default", "interactive"])
def test_pinned_task_has_no_pool_of_its_own(pool: Any) -> None:
    with pytest.raises(ValueError, match=f"pinned.*'{pool}'.*leave one"):
        Spawner(pinned=True, pool=pool)
    assert Spawner(pinned=True, pool="same")


@pytest.mark.parametrize("pool", ["", "Default", "other", 1, b"default"])
def test_other_pools_are_refused(pool: Any) -> None:
    with pytest.raises(
        ValueError, match="'interactive', 'same' or None, not"
    ) as caught:
        Spawner(pool=pool)
    assert repr(pool) in str(caught.value)
    for call in (taskrt.num_threads, lambda p: taskrt.set_num_threads(1, p)):
        with pytest.raises(ValueError, match="must be 'default' or 'interactive', not"):
            call(pool)


# ---- it waits for no other -----------------------------------------------------------


def hold_default(
    ended: Callable[[], object], count: int
) -> tuple[list[Task[None]], AtomicInt]:
    """Spawn tasks that are `ended` by something, more than the pool has threads."""
    begun = AtomicInt()

    def hold() -> None:
        begun.fetch_add(1)
        assert ended()

    return [spawn(hold) for _ in range(count)], begun


def test_it_starts_while_all_threads_of_the_default_pool_are_held(threads: int) -> None:
    gate = threading.Event()

    held, begun = hold_default(lambda: gate.wait(PATIENCE), threads + 2)

    def release() -> None:
        until(lambda: begun.load() >= threads)
        gate.set()

    task = interactive(release)
    fetch_all(held)  # main is held by one of them, until the other task has run
    fetch(task)


def test_it_starts_while_they_run_native_code(threads: int, lib: ctypes.CDLL) -> None:
    told = pair(0)
    begun = AtomicInt()

    def spin() -> None:
        begun.fetch_add(1)
        native.run(lib.until_told, told)

    held = [spawn(spin) for _ in range(threads + 1)]

    def release() -> None:
        until(lambda: begun.load() >= threads)
        told[0] = 1

    task = interactive(release)
    fetch_all(held)
    fetch(task)


def test_it_starts_while_they_run_python_that_never_lets_go(threads: int) -> None:
    stop = AtomicInt()

    def burn() -> bool:
        while not stop.load():
            pass
        return True

    held, begun = hold_default(burn, threads)

    def release() -> None:
        until(lambda: begun.load() >= threads)
        stop.store(1)

    task = interactive(release)
    fetch_all(held)
    fetch(task)


def test_it_hears_of_descriptors_while_they_are_held(threads: int) -> None:
    gate = threading.Event()
    held, begun = hold_default(lambda: gate.wait(PATIENCE), threads + 1)
    near, far = socket.socketpair()

    def listen() -> bytes:
        wait_readable(near)
        return near.recv(1)

    def write() -> None:
        until(lambda: begun.load() >= threads and listener.state == "suspended")
        far.send(b"x")
        assert fetch(listener) == b"x"
        gate.set()

    listener = interactive(listen)
    writer = interactive(write)
    fetch_all(held)
    fetch(writer)
    near.close()
    far.close()


def test_its_timers_are_fired_while_they_are_held(threads: int) -> None:
    gate = threading.Event()
    held, begun = hold_default(lambda: gate.wait(PATIENCE), threads + 1)

    def release() -> None:
        while begun.load() < threads:
            sleep(0.0005)
        gate.set()

    task = interactive(release)
    fetch_all(held)
    fetch(task)


# ---- sizes ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
def test_so_many_run_at_the_same_time(
    n: int, interactive_threads: Callable[[int], None]
) -> None:
    interactive_threads(n)
    assert taskrt.num_threads("interactive") == n
    meeting = threading.Barrier(n)

    def meet() -> int:
        meeting.wait(PATIENCE)
        return thread_id()

    assert len(set(fetch_all([interactive(meet) for _ in range(n)]))) == n


def test_thread_that_is_too_many_ends_what_it_has_begun(
    interactive_threads: Callable[[int], None],
) -> None:
    interactive_threads(3)
    ready, go = threading.Barrier(4), Event()

    def begin() -> int:
        ready.wait(PATIENCE)
        go.wait()
        return thread_id()

    tasks = [interactive(begin) for _ in range(3)]
    ready.wait(PATIENCE)
    interactive_threads(1)
    go.set()
    assert len(set(fetch_all(tasks))) == 3
    assert fetch(interactive(pool_here)) == INTERACTIVE


def test_sizes_are_independent(set_num_threads: Callable[[int], object]) -> None:
    before = taskrt.num_threads("interactive")
    set_num_threads(5)
    assert taskrt.num_threads() == taskrt.num_threads("default") == 5
    assert taskrt.num_threads("interactive") == before


@pytest.mark.parametrize("n", [0, -1, 1025, 1 << 70])
def test_number_of_interactive_threads_has_bounds(n: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 1024"):
        taskrt.set_num_threads(n, "interactive")


# ---- what else knows of pools --------------------------------------------------------


def test_statistics_name_interactive_threads() -> None:
    thread = fetch(interactive(thread_id))
    before = taskrt.stats()["workers"][thread]["ran"]
    fetch_all([interactive(pool_here) for _ in range(10)])
    until(lambda: taskrt.stats()["workers"][thread]["ran"] >= before + 10)
    info = taskrt.info()
    assert info["interactive_threads"] >= 1
    assert info["num_interactive_threads"] == taskrt.num_threads("interactive")


@pytest.mark.parametrize("schedule", ["auto", "static", "greedy"])
def test_loop_of_an_interactive_task_runs_on_the_default_pool(
    schedule: Any, threads: int
) -> None:
    def loop() -> list[tuple[str, bool]]:
        return parallel.map(
            lambda _: pool_here(), range(500), grain=10, schedule=schedule
        )

    assert fetch(interactive(loop)) == [DEFAULT] * 500


def test_loop_of_an_interactive_task_raises_what_its_body_does(threads: int) -> None:
    def body(i: int) -> None:
        if i == 7:
            raise ValueError(i)

    def loop() -> None:
        parallel.for_range(body, 100, grain=1)

    with pytest.raises(ValueError, match="7"):
        fetch(interactive(loop))


def test_serial_loop_stays_where_it_is() -> None:
    def loop() -> list[tuple[str, bool]]:
        return parallel.map(lambda _: pool_here(), range(5), schedule="serial")

    assert fetch(interactive(loop)) == [INTERACTIVE] * 5


def test_queue_keeps_no_tasks_that_were_run_as_calls() -> None:
    """On the only thread that would come upon them."""

    def run() -> int:
        seen: list[weakref.ref[Task[Any]]] = []
        for _ in range(3000):
            task = same(pool_here)
            seen.append(weakref.ref(task))
            fetch(task)
        del task
        for _ in range(300):  # and in bunches, fetched in no good order
            tasks = [same(pool_here) for _ in range(10)]
            seen.extend(map(weakref.ref, tasks))
            fetch_all(tasks[::2] + tasks[1::2])
        del tasks
        return sum(ref() is not None for ref in seen)

    assert fetch(interactive(run)) < 1000
