"""Queue: the manners of queue.Queue, with tasks."""

from __future__ import annotations

import importlib
import queue
import sys
import threading
import types
import unittest
from collections.abc import Callable

import pytest
from support.gates import here, join, until_suspended
from support.growth import blocks_left_by
from support.interrupts import at_each_line

from taskrt import Cancelled, Queue, ShutDown, Task, fetch, spawn, wait

# Of CPython's own tests: what is done to a Queue that cannot be done to ours.
NOT_OURS = {"test_shrinking_queue": "maxsize is constant"}


def cases_of_cpython() -> type[unittest.TestCase] | None:
    try:
        theirs = importlib.import_module("test.test_queue")
    except ImportError:
        return None

    class QueueTest(theirs.BaseQueueTestMixin, unittest.TestCase):
        queue = types.SimpleNamespace(
            Queue=Queue, Full=queue.Full, Empty=queue.Empty, ShutDown=ShutDown
        )
        type2test = Queue

    for name, reason in NOT_OURS.items():
        if hasattr(QueueTest, name):
            setattr(QueueTest, name, unittest.skip(reason)(lambda _: None))
    return QueueTest


TestOfCPython = cases_of_cpython()


def put_all(q: Queue[int], numbers: range) -> None:
    for number in numbers:
        q.put(number)


def test_items_come_in_their_order(threads: int) -> None:
    for maxsize in (-1, 0, 1, 7):
        q: Queue[int] = Queue(maxsize)
        task = spawn(put_all, q, range(300))
        assert [q.get() for _ in range(300)] == list(range(300))
        fetch(task)


def test_sizes() -> None:
    q: Queue[int] = Queue(maxsize=2)
    assert (q.maxsize, q.qsize(), q.empty(), q.full()) == (2, 0, True, False)
    q.put(1)
    assert (q.qsize(), q.empty(), q.full()) == (1, False, False)
    q.put(2)
    assert (q.qsize(), q.empty(), q.full()) == (2, False, True)
    endless: Queue[int] = Queue(-3)
    for i in range(1000):
        endless.put_nowait(i)
    assert (endless.maxsize, endless.qsize(), endless.full()) == (-3, 1000, False)


def test_full_and_empty() -> None:
    q: Queue[int] = Queue(1)
    gets: list[Callable[[], object]] = [
        lambda: q.get(block=False),
        lambda: q.get(False, timeout=-1),
        lambda: q.get(timeout=0),
        lambda: q.get(True, 0.01),
        q.get_nowait,
    ]
    for get in gets:
        with pytest.raises(queue.Empty):
            get()
    q.put(0)
    puts: list[Callable[[], object]] = [
        lambda: q.put(1, block=False),
        lambda: q.put(1, False, timeout=-1),
        lambda: q.put(1, timeout=0),
        lambda: q.put(1, True, 0.01),
        lambda: q.put_nowait(1),
    ]
    for put in puts:
        with pytest.raises(queue.Full):
            put()
    assert (q.qsize(), q.unfinished_tasks) == (1, 1)


def test_negative_timeout_is_refused() -> None:
    q: Queue[int] = Queue()
    with pytest.raises(ValueError, match="non-negative"):
        q.put(1, timeout=-1)
    with pytest.raises(ValueError, match="non-negative"):
        q.get(timeout=-0.5)
    assert (q.qsize(), q.unfinished_tasks) == (0, 0)


def test_join_waits_for_the_last_report(threads: int) -> None:
    q: Queue[int] = Queue()
    q.join()
    for i in range(3):
        q.put(i)
    joiners = [spawn(q.join), spawn(q.join)]
    until_suspended(*joiners)
    for left in (2, 1, 0):
        assert all(task.state == "suspended" for task in joiners)
        q.get()
        q.task_done()
        assert q.unfinished_tasks == left
    wait(*joiners)
    q.join()
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()
    assert q.unfinished_tasks == 0


def test_workers_and_join(threads: int) -> None:
    q: Queue[int] = Queue(3)
    done: list[int] = []

    def work() -> None:
        while True:
            try:
                item = q.get()
            except ShutDown:
                return
            done.append(item)
            q.task_done()

    tasks = [spawn(work) for _ in range(3)]
    plain = threading.Thread(target=work)
    plain.start()
    for turn in (1, 2):
        putter = threading.Thread(target=put_all, args=(q, range(200)))
        putter.start()
        put_all(q, range(200))
        join(putter)
        q.join()
        assert len(done) == 400 * turn
    q.shutdown()
    wait(*tasks)
    join(plain)
    assert sum(done) == 4 * sum(range(200))


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_ends_those_that_wait(immediate: bool, threads: int) -> None:
    empty: Queue[int] = Queue()
    full: Queue[int] = Queue(1)
    full.put(0)
    tasks: list[Task[object]] = [spawn(empty.get), spawn(full.put, 1)]
    until_suspended(*tasks)
    empty.shutdown(immediate)
    full.shutdown(immediate=immediate)
    for task in tasks:
        with pytest.raises(ShutDown):
            fetch(task)
    assert full.is_shutdown
    assert full.qsize() == full.unfinished_tasks == (0 if immediate else 1)
    if not immediate:
        assert full.get() == 0
        full.task_done()
    full.join()
    for call in (full.get, full.get_nowait, lambda: full.put_nowait(1)):
        with pytest.raises(ShutDown):
            call()
    full.shutdown()
    full.shutdown(immediate=True)


def test_immediate_shutdown_lets_joiners_go(threads: int) -> None:
    q: Queue[int] = Queue()
    q.put(1)
    q.put(2)
    task = spawn(q.join)
    until_suspended(task)
    q.get()
    q.shutdown(immediate=True)
    assert q.unfinished_tasks == 1
    assert task.state == "suspended"
    q.task_done()
    fetch(task)


def test_shut_down_is_that_of_queue_where_there_is_one() -> None:
    base = getattr(queue, "ShutDown", Exception)
    assert issubclass(ShutDown, base)
    assert (base is not Exception) == (sys.version_info >= (3, 13))


def test_cancelled_waits_leave_nothing_behind(threads: int) -> None:
    q: Queue[int] = Queue(1)
    getter = spawn(q.get)
    until_suspended(getter)
    getter.cancel()
    wait(getter)
    q.put(0)
    tasks: list[Task[object]] = [spawn(q.put, 1), spawn(q.join)]
    until_suspended(*tasks)
    for task in tasks:
        task.cancel()
    wait(*tasks)
    assert all(task.cancelled() for task in tasks)
    assert q.unfinished_tasks == 1
    assert q.get() == 0
    q.task_done()
    q.join()
    assert q.empty()


def test_waits_are_checkpoints() -> None:
    q: Queue[int] = Queue()
    trail: list[str] = []

    def body() -> None:
        here().cancel()
        for call in (q.get, q.join, lambda: q.put(1)):
            try:
                call()
            except Cancelled:
                trail.append("cancelled")
        q.put_nowait(2)
        assert q.get_nowait() == 2
        q.task_done()
        trail.append("nowait")

    wait(spawn(body))
    assert trail == [*["cancelled"] * 3, "nowait"]
    assert q.unfinished_tasks == 0


def storm(maxsize: int, rounds: int) -> None:
    """Cancel half of those who put and get; each item that is got is reported."""
    q: Queue[int] = Queue(maxsize)
    put: list[int] = []
    got: list[int] = []

    def put_one(number: int) -> None:
        try:
            q.put(number, timeout=None if number % 3 else 1e-5)
        except queue.Full:
            return
        put.append(number)

    def get_one() -> None:
        got.append(q.get())
        q.task_done()

    for start in range(0, rounds, 6):
        tasks = [spawn(put_one, number) for number in range(start, start + 6)]
        tasks += [spawn(get_one) for _ in range(6)]
        for task in tasks[::2]:
            task.cancel()
        for task in tasks:
            if not wait(task, timeout=0.0005):
                task.cancel()
        wait(*tasks)
    assert q.unfinished_tasks == q.qsize()
    while not q.empty():
        got.append(q.get())
        q.task_done()
    q.join()
    assert sorted(got) == sorted(put)


@pytest.mark.parametrize("maxsize", [0, 1])
def test_cancellation_loses_nothing(maxsize: int, threads: int) -> None:
    storm(maxsize, 400)


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("maxsize", [0, 1, 5])
def test_long_storm(maxsize: int, threads: int) -> None:
    storm(maxsize, 100_000)


def test_memory_is_steady() -> None:
    def use() -> None:
        q: Queue[object] = Queue(1)
        task = spawn(q.put, object())
        q.get()
        q.task_done()
        q.join()
        fetch(task)
        q.shutdown()

    assert blocks_left_by(use, 100) <= 10


def test_interrupted_put_leaves_the_count_right() -> None:
    """Wherever a signal handler raises, an item is counted just if it was put."""
    q: Queue[int] = Queue()
    for block in (True, False):
        for interrupted in at_each_line(Queue.put):
            with interrupted:
                q.put(1, block)
            assert q.unfinished_tasks == q.qsize()
        assert interrupted.place > 10
    for _ in range(q.qsize()):
        q.get()
        q.task_done()
    q.join()


def test_interrupted_shutdown_leaves_the_count_right() -> None:
    q: Queue[int] = Queue()
    for i in range(20):
        q.put(i)

    for interrupted in at_each_line(Queue.shutdown):
        with interrupted:
            q.shutdown(immediate=True)
        assert q.unfinished_tasks == q.qsize()
    assert q.unfinished_tasks == 0
    q.join()
