"""What errors say: what was asked, what was found, and what to do."""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import Gate, until

import taskrt
from taskrt import (
    Barrier,
    Channel,
    Queue,
    TaskGroup,
    Timer,
    as_completed,
    fail_after,
    fetch,
    fetch_all,
    move_on_after,
    once,
    sleep,
    spawn,
    spawn_later,
    wait,
    wait_all,
    wait_any,
    wait_readable,
    wait_writable,
)

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002


@pytest.mark.parametrize("call", [fetch, taskrt.Task.result, taskrt.Task.exception])
@pytest.mark.parametrize("timeout", [0, SOON])
def test_a_fetch_out_of_time_names_the_task(
    call: Callable[..., object], timeout: float
) -> None:
    with Gate() as gate:
        said = r"Task-\d+ has not ended after [-.e\d]+ seconds; it goes on"
        with pytest.raises(TimeoutError, match=said):
            call(gate.task, timeout)


def test_full_and_empty_say_what_did_not_come_in_time() -> None:
    channel, full = Channel[int](1), Queue[int](1)
    channel.put(1)
    full.put(1)
    with pytest.raises(queue.Empty, match="nothing came in time"):
        Channel[int]().get(SOON)
    with pytest.raises(queue.Empty, match="nothing came in time"):
        Queue[int]().get(timeout=SOON)
    with pytest.raises(queue.Full, match="no room in time"):
        channel.put(2, SOON)
    with pytest.raises(queue.Full, match="no room in time"):
        full.put(2, timeout=SOON)
    for look in (Channel[int]().get_nowait, Queue[int]().get_nowait):
        with pytest.raises(queue.Empty) as caught:
            look()
        assert caught.value.args == ()  # an answer, and no mistake


def broken(barrier: Barrier, breaks: Callable[[], object]) -> str:
    """What one that waits is told."""
    task = spawn(barrier.wait)
    until(lambda: barrier.n_waiting == 1 or task.done())
    breaks()
    wait(task)
    error = task.exception()
    assert isinstance(error, threading.BrokenBarrierError)
    return str(error)


def test_a_broken_barrier_says_why() -> None:
    def gives_up(barrier: Barrier) -> None:
        task = spawn(barrier.wait)
        until(lambda: barrier.n_waiting == 2)
        task.cancel()

    def is_late(barrier: Barrier) -> None:
        with pytest.raises(threading.BrokenBarrierError, match="out of time"):
            barrier.wait(SOON)

    three = [Barrier(3) for _ in range(4)]
    assert broken(three[0], three[0].reset) == "the barrier was reset"
    assert broken(three[1], three[1].abort) == "the barrier was aborted"
    said = "one of those that waited was "
    assert broken(three[2], lambda: gives_up(three[2])) == (
        said + "cancelled or interrupted"
    )
    assert broken(three[3], lambda: is_late(three[3])) == said + "out of time"
    with pytest.raises(threading.BrokenBarrierError, match="aborted"):
        three[1].wait()  # later too

    acting = Barrier(2, lambda: 1 // 0)

    def complete() -> None:
        with pytest.raises(ZeroDivisionError):
            acting.wait()

    said = "the action of the barrier has raised ZeroDivisionError"
    assert broken(acting, complete) == said
    with pytest.raises(threading.BrokenBarrierError, match="ZeroDivisionError"):
        acting.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="waits for descriptors")
@pytest.mark.parametrize("call", [wait_readable, wait_writable])
def test_a_file_on_disk_need_not_be_waited_for(call: Callable[[Any], object]) -> None:
    with tempfile.TemporaryFile() as file:
        with pytest.raises(PermissionError, match="always ready.*run_blocking") as info:
            call(file)
        assert info.value.errno == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        call(os.sysconf("SC_OPEN_MAX"))


@pytest.mark.parametrize("make", [list, tuple, set, iter])
def test_many_tasks_where_one_is_expected(make: Callable[[Any], Any]) -> None:
    tasks = make([spawn(int)])
    with pytest.raises(TypeError, match=r"taskrt.Task, not .*fetch_all\(\)$"):
        fetch(tasks)
    with pytest.raises(TypeError, match=r"taskrt.Task, not .*wait_all\(\)$"):
        wait(tasks)


def test_one_that_is_no_task() -> None:
    for wrong in (None, 3, "task", int):
        with pytest.raises(TypeError, match=r"takes a taskrt.Task, not '\w+'$"):
            fetch(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [fetch_all, wait_any, wait_all, as_completed])
def test_one_task_where_many_are_expected(call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"not a single one: put it in a list"):
        call(spawn(int))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda wrong: spawn_later(wrong, int),
            "delay must be a number from 0 upwards",
        ),
        (lambda wrong: Timer(wrong, int), "delay must be a number from 0 upwards"),
        (move_on_after, "seconds must be a number from 0 upwards"),
        (fail_after, "seconds must be a number from 0 upwards"),
        (sleep, r"sleep\(\) takes a number of seconds"),
    ],
)
def test_times_that_are_no_numbers(call: Callable[[Any], object], text: str) -> None:
    for wrong in ("1", int, [1]):
        with pytest.raises(TypeError, match=f"{text}, not '{type(wrong).__name__}'$"):
            call(wrong)


def test_what_cannot_be_called_once() -> None:
    with pytest.raises(TypeError, match=r"once\(\) takes a callable, not 'int'"):
        once(3)  # type: ignore[arg-type]


def test_the_limit_of_a_group_has_a_name() -> None:
    with pytest.raises(TypeError, match="by name: limit=3"):
        TaskGroup(3)  # type: ignore[arg-type]
