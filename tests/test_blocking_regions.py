"""`with blocking()`: a task keeps its thread, and what nobody has started goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from support.child import UNDER_ASAN, run_script
from support.gates import end_of, until, until_suspended
from support.places import Place

import taskrt
from taskrt import Event, blocking, fetch, spawn

PATIENCE_S = 60


def spares() -> int:
    regions, _ = taskrt._core._spares()
    return regions


def until_quiet() -> None:
    """Wait until there is no region left and no thread too many."""
    fetch(spawn(int))
    until(lambda: taskrt._core._spares() == (0, taskrt.num_threads()))


@pytest.fixture
def one_thread(set_num_threads: Callable[[int], object]) -> Iterator[None]:
    """Give a pool of main alone, and no other thread that takes work."""
    set_num_threads(1)
    until_quiet()
    yield
    until_quiet()


def block(event: threading.Event) -> int:
    """Block the thread until the event is set; return its number."""
    with blocking():
        assert event.wait(PATIENCE_S)
    return taskrt.thread_id()


def test_one_blocked_task_does_not_hold_up_the_other(threads: int) -> None:
    event = threading.Event()
    spawn(event.set)
    assert fetch(spawn(block, event)) >= 0


def test_main_in_a_region(threads: int) -> None:
    event = threading.Event()
    spawn(event.set)
    assert block(event) == 0


@pytest.mark.usefixtures("one_thread")
def test_work_that_comes_later_is_done_too() -> None:
    """By a thread that has found nothing before, and sleeps as workers do."""
    done: list[int] = []
    event = threading.Event()

    def spawn_late() -> None:
        for i in range(5):
            time.sleep(0.002)
            taskrt.wait(spawn(done.append, i))
        task = spawn(event.set)
        until_done(task)

    def until_done(task: taskrt.Task[None]) -> None:
        while not task.done():
            time.sleep(0.0005)

    thread = threading.Thread(target=spawn_late)
    thread.start()
    assert block(event) == 0
    thread.join()
    assert done == list(range(5))


@pytest.mark.parametrize("blocked", [1, 8, 20])
def test_more_blocked_tasks_than_workers(threads: int, blocked: int) -> None:
    event = threading.Event()
    last = spawn(event.set)  # the oldest, so thieves get it first, and main last
    tasks = [spawn(block, event) for _ in range(blocked)]
    numbers = taskrt.fetch_all(tasks)
    fetch(last)
    assert len(numbers) == blocked


def test_each_blocked_task_waits_for_the_next(threads: int) -> None:
    """Each needs a thread of its own: the regions add up."""
    events = [threading.Event() for _ in range(10)]

    def link(i: int) -> None:
        if i + 1 < len(events):
            spawn(link, i + 1)
            block(events[i + 1])
        events[i].set()

    spawn(link, 0)
    block(events[0])


@pytest.mark.usefixtures("one_thread")
def test_tasks_that_a_spare_thread_has_started_are_ended_by_it() -> None:
    event, gate = threading.Event(), taskrt.Event()
    numbers: list[int] = []

    def stay() -> None:
        numbers.append(taskrt.thread_id())
        event.set()
        gate.wait()
        numbers.append(taskrt.thread_id())

    task = spawn(stay)
    block(event)
    gate.set()
    fetch(task)
    assert numbers == [1, 1]


def test_a_thread_that_was_one_too_many_comes_in_again(
    set_num_threads: Callable[[int], object],
) -> None:
    """It has stayed for its own tasks, which wait, and sleeps."""
    set_num_threads(4)
    event, release = threading.Event(), Event()
    stays = [spawn(release.wait) for _ in range(12)]
    until_suspended(*stays)
    set_num_threads(2)
    blocked = spawn(block, event)
    while blocked.state == "pending":
        time.sleep(0.0002)  # and main runs nothing: the pool's only thread takes it
    end_of(spawn(event.set))
    fetch(blocked)
    release.set()
    for task in stays:
        fetch(task)


@pytest.mark.usefixtures("one_thread")
def test_after_the_region_the_spare_thread_takes_nothing() -> None:
    event = threading.Event()
    spawn(event.set)
    block(event)
    until_quiet()
    for _ in range(3):
        tasks = [spawn(taskrt.thread_id) for _ in range(100)]
        time.sleep(0.002)
        assert set(taskrt.fetch_all(tasks)) == {0}


@pytest.mark.usefixtures("one_thread")
def test_short_regions_bring_nobody_in() -> None:
    seen = 0
    for _ in range(2000):
        with blocking():
            pass
        seen += spares()
    assert seen == 0


@pytest.mark.usefixtures("one_thread")
def test_regions_within_one_another_count_once() -> None:
    with blocking():
        with blocking(), blocking():
            pass
        while spares() == 0:  # the inner ones have not ended it
            time.sleep(0.0002)
        with blocking():
            time.sleep(0.001)
        assert spares() == 1
    assert spares() == 0


def test_a_region_ends_with_an_error(threads: int) -> None:
    event = threading.Event()
    spawn(event.set)
    with pytest.raises(ZeroDivisionError), blocking():
        event.wait(PATIENCE_S)
        _ = 1 / 0
    until_quiet()


def test_a_plain_thread_may_have_regions(threads: int) -> None:
    seen: list[int] = []

    def run() -> None:
        with blocking():
            time.sleep(0.001)
            seen.append(spares())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [0]


# --- waits inside of a region ---------------------------------------------------------


def test_a_task_waits_inside_of_a_region(run: Place, threads: int) -> None:
    def body() -> None:
        channel = taskrt.Channel[int](0)
        with blocking():
            task = spawn(channel.put, 1)
            assert channel.get() == 1
            fetch(task)
            taskrt.sleep(0.0005)
            taskrt.yield_now()

    run(body)
    until_quiet()


@pytest.mark.usefixtures("one_thread")
def test_the_region_is_interrupted_while_others_run() -> None:
    """Where it would bring in a thread, were it in force."""
    seen: list[int] = []

    def busy() -> None:
        time.sleep(0.005)
        seen.append(spares())

    gate = taskrt.Event()

    def wake() -> None:
        busy()
        gate.set()

    with blocking():
        fetch(spawn(busy))  # as a call
        task = spawn(wake)
        gate.wait()
        event = threading.Event()
        other = spawn(event.set)
        assert event.wait(PATIENCE_S)  # it is in force again
    assert seen == [0, 0]
    taskrt.wait(task, other)
    until_quiet()


def test_a_region_that_a_task_has_not_left_ends_with_it(threads: int) -> None:
    def enter() -> None:
        blocking().__enter__()
        time.sleep(0.001)

    fetch(spawn(enter))
    until_quiet()
    blocking().__exit__(None, None, None)  # and nobody minds an end too many


def test_a_cancelled_wait_leaves_the_region(threads: int) -> None:
    def body() -> None:
        with blocking():
            taskrt.Event().wait()

    task = spawn(body)
    until(lambda: task.state == "suspended")
    task.cancel()
    taskrt.wait(task)
    assert task.cancelled()
    until_quiet()


# --- at large -------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [30, pytest.param(1000, marks=pytest.mark.stress)])
def test_regions_of_all_lengths(threads: int, rounds: int) -> None:
    """Some end as the alarm is about to bring somebody in."""

    def work(i: int) -> int:
        with blocking():
            time.sleep((i % 7) * 0.00004)
        return fetch(spawn(abs, -i))

    for _ in range(rounds):
        tasks = [spawn(work, i) for i in range(20)]
        assert sum(taskrt.fetch_all(tasks)) == 190
    until_quiet()


def test_the_size_changes_while_there_are_regions(
    set_num_threads: Callable[[int], object],
) -> None:
    for round_ in range(20):
        set_num_threads(1 + round_ % 3)
        event = threading.Event()
        spawn(event.set)
        tasks = [spawn(block, event) for _ in range(3)]
        set_num_threads(1 + (round_ + 1) % 3)
        taskrt.fetch_all(tasks)
    until_quiet()


# --- the process ----------------------------------------------------------------------

SCRIPT = """
import os, threading, time
import taskrt
from taskrt import DeadlockError, Event, blocking, fetch, spawn

def block(event):
    with blocking():
        assert event.wait(60)
"""

at_every_size = pytest.mark.parametrize("threads", ["1", "2", "4"])


@pytest.mark.isolated
@at_every_size
@pytest.mark.parametrize("debug", ["0", "1"])
def test_an_open_region_is_hope_and_a_spare_thread_is_none(
    threads: str, debug: str
) -> None:
    result = run_script(
        SCRIPT
        + """
event, door = Event(), threading.Event()
def open_later():
    with blocking():
        time.sleep(0.02)
    event.set()
for _ in range(5):
    event.clear()
    task = spawn(open_later)
    spawn(door.set)
    block(door)
    assert event.wait()
    fetch(task)
    try:
        Event().wait()
    except DeadlockError:
        print("hopeless")
""",
        env={"TASKRT_NUM_THREADS": threads, "TASKRT_DEBUG": debug},
    )
    assert result.stdout == 5 * "hopeless\n"


@pytest.mark.isolated
@at_every_size
@pytest.mark.parametrize("how", ["exit", "shutdown", "in a region"])
def test_the_end_with_spare_threads(threads: str, how: str) -> None:
    script = (
        SCRIPT
        + f"how = {how!r}"
        + """
for _ in range(3):
    event = threading.Event()
    last = spawn(event.set)
    tasks = [spawn(block, event) for _ in range(5)]
    taskrt.fetch_all(tasks)
    for i in range(3):
        spawn(block, event)
    if how == "shutdown":
        assert taskrt.shutdown()
        assert taskrt.info()["pool_threads"] == 0
if how == "in a region":
    blocking().__enter__()
    time.sleep(0.001)
print("done")
"""
    )
    result = run_script(script, env={"TASKRT_NUM_THREADS": threads})
    assert (result.stdout, result.stderr) == ("done\n", "")


@pytest.mark.isolated
@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
@at_every_size
def test_a_fork_in_a_region(threads: str) -> None:
    script = (
        SCRIPT
        + """
def work():
    event = threading.Event()
    spawn(event.set)
    tasks = [spawn(block, event) for _ in range(4)]
    taskrt.fetch_all(tasks)
work()
with blocking():
    pid = os.fork()
    time.sleep(0.001)
    work()
work()
if pid == 0:
    os.write(1, b"child is well\\n")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
os.write(1, b"parent is well\\n")
"""
    )
    result = run_script(
        script,
        env={"TASKRT_NUM_THREADS": threads},
        options=["-W", "ignore::DeprecationWarning"],
    )
    assert result.stdout == "child is well\nparent is well\n"
