"""Greenlets of the program's own: in tasks, on main, and on other threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import greenlet
import pytest
from support.child import UNDER_ASAN, run_script
from support.gates import end_of, join, pinned
from support.places import Place, in_task, in_thread

from taskrt import (
    DeadlockError,
    Event,
    Task,
    TaskGroup,
    TaskLostError,
    cancel_requested,
    current_task,
    fetch,
    sleep,
    spawn,
)

R = TypeVar("R")

TESTS = Path(__file__).parent


def in_greenlet(fn: Callable[[], R]) -> R:
    """Call `fn` in a greenlet of its own."""
    results: list[R] = []
    greenlet.greenlet(lambda: results.append(fn())).switch()
    return results[0]


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2", "4"])
@pytest.mark.parametrize(
    "job", ["leave", "in_scope", "in_call", "in_calls", "in_lock", "cleaning_up"]
)
def test_they_may_be_left_in_the_middle_for_good(job: str, threads: str) -> None:
    result = run_script(
        TESTS / "isolated" / "greenlets_left.py",
        job,
        env={"TASKRT_NUM_THREADS": threads, "PYTHONPATH": str(TESTS)},
    )
    assert (result.stdout, result.stderr) == ("done\n", "")


def test_they_run_no_task_as_a_call(run: Place, threads: int) -> None:
    def body() -> None:
        def check() -> None:
            here = greenlet.getcurrent()
            ran_in = fetch(spawn(greenlet.getcurrent))
            assert ran_in is not here

        in_greenlet(check)

    run(body)


def test_they_wait_like_all_others(run: Place, threads: int) -> None:
    def body() -> None:
        event = Event()

        def check() -> int:
            spawn(event.set)
            event.wait()
            sleep(0.0001)
            with TaskGroup() as group:
                inner = group.spawn(lambda: fetch(spawn(lambda: 6)))
            return fetch(inner) * 7

        assert in_greenlet(check) == 42
        assert fetch(spawn(lambda: 1)) == 1

    run(body)


def test_each_thread_may_wait_in_one(threads: int) -> None:
    """Also while main is elsewhere, though nobody seems left for what they wait for."""
    done: list[int] = []

    def body() -> None:
        done.append(in_greenlet(lambda: fetch(spawn(lambda: 1))))

    tasks = [spawn(body) for _ in range(2 * threads)]
    if threads > 1:
        for task in tasks:
            # Without a wait that would run it on main.
            end_of(task)
    for task in tasks:
        fetch(task)
    assert len(done) == 2 * threads


def test_a_task_is_itself_after_one_that_was_left(threads: int) -> None:
    def body() -> None:
        here = greenlet.getcurrent()
        me = current_task()

        def leave() -> None:
            fetch(spawn(int))
            here.switch()

        left = greenlet.greenlet(leave)
        left.switch()
        assert current_task() is me
        assert not cancel_requested()
        sleep(0)
        assert me is not None
        assert me.state == "running"
        left.switch()

    for task in [spawn(body) for _ in range(8)]:
        fetch(task)


def test_a_pinned_task_is_refused_where_it_cannot_run(threads: int) -> None:
    def body() -> None:
        task = pinned(int)

        def check() -> None:
            with pytest.raises(DeadlockError, match="pinned to this thread"):
                fetch(task)
            with pytest.raises(TimeoutError):
                fetch(task, timeout=0.001)

        in_greenlet(check)
        assert fetch(task) == 0

    in_task(body)


def test_main_runs_pinned_ones_for_its_greenlets(threads: int) -> None:
    assert in_greenlet(lambda: fetch(pinned(lambda: 5))) == 5


def test_other_threads_run_pinned_ones_in_one_greenlet_at_a_time() -> None:
    def body() -> None:
        here = greenlet.getcurrent()
        ends: list[str] = []

        def leave() -> None:
            here.switch()
            ends.append("left")

        left = greenlet.greenlet(lambda: fetch(pinned(leave)))
        left.switch()
        second = pinned(ends.append, "second")

        def refused() -> None:
            with pytest.raises(DeadlockError, match="pinned to this thread"):
                fetch(second)

        refused()
        in_greenlet(refused)
        left.switch()
        in_greenlet(lambda: fetch(second))
        assert ends == ["left", "second"]
        assert current_task() is None

    in_thread(body)


def test_a_thread_that_left_a_task_leaves_nothing_to_the_next() -> None:
    kept: list[greenlet.greenlet] = []
    tasks: list[Task[object]] = []

    def leave() -> None:
        here = greenlet.getcurrent()
        tasks.append(pinned(here.switch))
        kept.append(greenlet.greenlet(lambda: fetch(tasks[0])))
        kept[0].switch()

    thread = threading.Thread(target=leave)
    thread.start()
    join(thread)
    with pytest.raises(TaskLostError, match="left in the middle"):
        fetch(tasks[0])
    kept.clear()
    for _ in range(3):
        in_thread(lambda: in_greenlet(lambda: fetch(pinned(int))))
        in_thread(lambda: fetch(spawn(int)))


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_process_ends_after_a_thread_that_left_a_task(threads: str) -> None:
    script = """
import threading
import greenlet
from taskrt import Spawner, fetch

kept = []

def leave():
    here = greenlet.getcurrent()
    task = Spawner(pinned=True)(here.switch)
    kept.append(greenlet.greenlet(lambda: fetch(task)))
    kept[0].switch()

thread = threading.Thread(target=leave)
thread.start()
thread.join()
print("done")
"""
    result = run_script(script, env={"TASKRT_NUM_THREADS": threads})
    assert (result.returncode, result.stdout) == (0, "done\n")


@pytest.mark.isolated
@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
def test_a_child_forked_by_a_handler_in_such_a_wait_has_a_spare_thread() -> None:
    script = """
import os, signal, threading
import greenlet
from taskrt import Event, fetch, spawn

children = []

def fork(*_):
    children.append(os.fork())

def body():
    # A pending task is left to others while main sleeps with the thread.
    tasks = []
    event = Event()
    greenlet.greenlet(lambda: (tasks.append(spawn(int)), event.wait(0.2))).switch()
    if children[0] == 0:
        results = []
        thread = threading.Thread(
            target=lambda: results.append(fetch(spawn(lambda: 3), timeout=20))
        )
        thread.start()
        thread.join()
        os._exit(results != [3])

signal.signal(signal.SIGUSR1, fork)
threading.Timer(0.02, os.kill, [os.getpid(), signal.SIGUSR1]).start()
fetch(spawn(body))
assert os.waitpid(children[0], 0)[1] == 0
print("done")
"""
    result = run_script(
        script,
        env={"TASKRT_NUM_THREADS": "1"},
        options=["-W", "ignore::DeprecationWarning"],
    )
    assert (result.stdout, result.stderr) == ("done\n", "")
