"""isolated(): while a block waits, its thread runs nothing from outside of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from support.gates import pinned, until, until_suspended
from support.gauge import Gauge
from support.places import in_task, in_thread, on_main
from support.trees import tree

import taskrt.parallel
from taskrt import (
    Channel,
    DeadlockError,
    Event,
    Lock,
    Spawner,
    Task,
    TaskGroup,
    fetch,
    fetch_all,
    isolated,
    limit,
    move_on_after,
    run_blocking,
    sleep,
    spawn,
    wait_all,
    yield_now,
)

everywhere = pytest.mark.parametrize("where", [on_main, in_task, in_thread])


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set the number of threads, for this test."""
    before = taskrt.num_threads()
    yield taskrt.set_num_threads
    taskrt.set_num_threads(before)


class Guard:
    """What must not be met: it knows which threads are in the middle of it."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def is_held(self) -> bool:
        return getattr(self._local, "held", False)

    def __enter__(self) -> None:
        assert not self.is_held, "met by another block"
        self._local.held = True

    def __exit__(self, *_: object) -> None:
        assert self.is_held, "left on another thread"
        self._local.held = False


@everywhere
@pytest.mark.parametrize("size", [1, 2, 4])
def test_nothing_from_outside_is_met(
    size: int, where: Callable[..., None], threads: Callable[[int], None]
) -> None:
    threads(size)
    guard = Guard()

    def outside(rounds: int) -> int:
        for _ in range(rounds):
            assert not guard.is_held
            sleep(0.0001) if rounds % 2 else yield_now()
        assert not guard.is_held
        return 1

    def block(number: int) -> int:
        with isolated(), guard:
            if number % 3 == 0:
                assert fetch(spawn(tree, 3)) == 27
            elif number % 3 == 1:
                wait_all([spawn(tree, 2) for _ in range(3)])
            else:
                event = Event()
                spawn(event.set)
                event.wait()
                sleep(0.0005)
        return 1

    def body() -> None:
        tasks = [spawn(block if n % 4 == 0 else outside, n % 12) for n in range(120)]
        with isolated(), guard:
            assert fetch(spawn(tree, 3)) == 27
        assert sum(fetch_all(tasks)) == 120

    where(body)


@everywhere
def test_the_block_runs_what_is_spawned_inside(where: Callable[..., None]) -> None:
    def body() -> None:
        with isolated():
            assert fetch(spawn(tree, 3)) == 27
            with TaskGroup() as group:
                tasks = [group.spawn(tree, 2) for _ in range(5)]
            assert [task.result() for task in tasks] == [9] * 5
            assert taskrt.parallel.sum(range(1000)) == 499500
            channel: Channel[int] = Channel(0)
            source = spawn(lambda: [channel.put(n) for n in range(10)])
            assert [channel.get() for _ in range(10)] == list(range(10))
            fetch(source)
            assert run_blocking(int, "7") == 7

    where(body)


def test_a_task_from_outside_is_not_run_as_a_call(
    threads: Callable[[int], None],
) -> None:
    threads(1)
    me = threading.get_ident()
    task = spawn(threading.get_ident)
    with isolated():
        assert fetch(task) != me


def test_stacks_of_the_thread_go_on_when_the_block_is_left() -> None:
    order: list[str] = []
    event = Event()

    def waits() -> None:
        event.wait()
        order.append("outside")

    def body() -> None:
        tasks = [pinned(waits) for _ in range(3)]
        until_suspended(*tasks)
        with isolated():
            event.set()
            for _ in range(10):
                yield_now()
                sleep(0.0005)
            fetch(spawn(tree, 2))
            order.append("inside")
        fetch_all(tasks)

    fetch(spawn(body))
    assert order == ["inside"] + 3 * ["outside"]


def test_their_timers_are_late(threads: Callable[[int], None]) -> None:
    threads(1)
    order: list[str] = []

    def body() -> None:
        task = pinned(lambda: (sleep(0.001), order.append("outside")))
        until_suspended(task)
        with isolated():
            sleep(0.01)
            order.append("inside")
        fetch(task)

    fetch(spawn(body))
    assert order == ["inside", "outside"]


def test_blocks_in_blocks() -> None:
    order: list[str] = []

    def inner(event: Event, done: Event) -> None:
        with isolated():
            event.set()
            sleep(0.002)
            fetch(spawn(tree, 2))
            order.append("inner")
        done.set()

    def body() -> None:
        with isolated():
            event, done = Event(), Event()
            task = pinned(inner, event, done)
            event.wait()  # until then, though it is set, the inner block is alone
            order.append("outer")
            fetch(task)
            with isolated(), isolated():
                assert fetch(spawn(tree, 2)) == 9

    fetch(spawn(body))
    assert order == ["inner", "outer"]


def test_a_pinned_task_from_outside_waits_for_the_end_of_the_block() -> None:
    def body() -> None:
        ran: list[str] = []
        first, second = pinned(ran.append, "first"), pinned(ran.append, "second")
        with isolated():
            task = pinned(ran.append, "inside")
            with pytest.raises(DeadlockError, match="isolated block none from outside"):
                fetch(first)
            with pytest.raises(TimeoutError):
                fetch(second, timeout=0.001)
            fetch(task)
            fetch(pinned(ran.append, "more"))
            assert ran == ["inside", "more"]
        fetch_all([first, second])
        assert ran == ["inside", "more", "first", "second"]

    in_task(body)
    in_thread(body)
    body()


def test_one_that_waits_for_a_pinned_task_inside_of_anothers_block() -> None:
    def body() -> None:
        first = pinned(int, 5)
        with isolated():
            inner = pinned(lambda: fetch(first))
            until_suspended(inner)
            with move_on_after(0.001) as scope:
                fetch(first)
            assert scope.cancel_called
        assert fetch(inner) == 5

    in_task(body)


def test_within_limits_and_limits_within() -> None:
    gauge = Gauge()

    def leaf() -> None:
        gauge.work(0.0001)
        sleep(0.0001)
        gauge.work(0.0001)

    def block() -> None:
        with isolated():
            fetch_all([spawn(leaf) for _ in range(5)])
            with limit(1):
                fetch_all([spawn(leaf) for _ in range(5)])

    with limit(2):
        tasks = [spawn(block) for _ in range(10)]
        tasks += [spawn(leaf) for _ in range(20)]
        with isolated():
            wait_all([spawn(leaf) for _ in range(5)])
        fetch_all(tasks)
    assert gauge.most <= 2
    assert gauge.calls == 2 * (10 * 10 + 25)


@pytest.mark.parametrize("size", [1, 2])
def test_a_place_does_not_go_to_a_stack_that_is_held_up(
    size: int, threads: Callable[[int], None]
) -> None:
    """The first that waits for it is from outside, the second inside of the block."""
    threads(size)

    def job(event: Event) -> None:
        event.wait()
        sleep(0)

    def body() -> None:
        with limit(1):
            outside, inside = Event(), Event()
            first = [pinned(job, outside) for _ in range(3)]
            until_suspended(*first)
            with isolated():
                second = [pinned(job, inside) for _ in range(3)]
                until(lambda: all(task.state == "suspended" for task in second))
                outside.set()
                inside.set()
                fetch_all(second)
            fetch_all(first)

    fetch(spawn(body))


def test_a_lock_of_the_system_is_not_met_again() -> None:
    """What the block is for: without it the thread would wait for itself."""
    lock, entered = threading.Lock(), Gauge()

    def job() -> None:
        with isolated(), lock:
            entered.work(0)
            fetch(spawn(tree, 2))
            wait_all([spawn(tree, 1) for _ in range(2)])
            sleep(0.0005)

    fetch_all([spawn(job) for _ in range(30)])
    assert (entered.calls, entered.most) == (30, 1)


def test_threads_come_in_and_are_bounded(threads: Callable[[int], None]) -> None:
    """A block that waits is like one that blocks: as many threads run as before."""
    threads(2)
    gauge, event = Gauge(), Event()

    def waits() -> None:
        with isolated():
            event.wait()

    def body() -> None:
        waiting = [spawn(waits) for _ in range(6)]
        sleep(0.002)
        fetch_all([spawn(gauge.work, 0.001) for _ in range(50)])
        event.set()
        fetch_all(waiting)

    in_thread(body)  # main would start some of those that wait
    assert gauge.calls == 50
    assert gauge.most <= 2


def test_a_circle_through_a_block_is_refused() -> None:
    """One that waits in a block for who waits for a stack of the same thread."""
    taken: list[BaseException] = []

    def body() -> None:
        held_up: list[Task[None]] = []
        go = Event()
        held_up.append(pinned(go.wait))
        until_suspended(held_up[0])
        other = Spawner(name="other")(lambda: fetch(held_up[0]))
        until_suspended(other)
        with isolated():
            with pytest.raises(DeadlockError, match="would never end"):
                fetch(other)
        with isolated():
            third = spawn(lambda: fetch(held_up[0]))
            try:
                fetch(third, timeout=0.001)
            except TimeoutError as error:
                taken.append(error)
        go.set()
        fetch_all([other, third])

    fetch(spawn(body))
    assert len(taken) == 1


def test_locks_and_blocks() -> None:
    lock, counts = Lock(), [0]

    def job() -> None:
        with lock, isolated():
            fetch(spawn(tree, 1))
            counts[0] += 1

    fetch_all([spawn(job) for _ in range(30)])
    assert counts == [30]
