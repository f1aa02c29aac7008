"""Who is interrupted in a wait, and waits on, is served in the order of its arrival.

A wait begins anew when the deadline of a scope around it is set to an earlier time.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import pytest
from support.gates import until, until_suspended

from taskrt import (
    CancelScope,
    Channel,
    Event,
    Lock,
    RLock,
    Semaphore,
    Task,
    fetch,
    select,
    spawn,
    stats,
    wait,
)

pytestmark = pytest.mark.usefixtures("threads")


class Line:
    """Tasks that wait one behind the other, each in a scope of its own."""

    def __init__(self, *calls: Callable[[], object]) -> None:
        self.order: list[int] = []
        self.scopes: list[CancelScope] = []
        self.tasks: list[Task[None]] = []
        for number, call in enumerate(calls):
            self.tasks.append(spawn(self._wait, number, call))
            until_suspended(*self.tasks)

    def _wait(self, number: int, call: Callable[[], object]) -> None:
        with CancelScope(deadline=time.monotonic() + 10_000) as scope:
            self.scopes.append(scope)
            call()
            self.order.append(number)

    def interrupt(self, number: int) -> None:
        """Have its wait begin anew."""
        scope, before = self.scopes[number], stats()["total"]["parked"]
        assert scope.deadline is not None
        scope.deadline -= 1
        until(lambda: stats()["total"]["parked"] > before)
        until_suspended(*self.tasks)

    def end(self, let_one_go: Callable[[], object]) -> list[int]:
        for done in range(1, len(self.tasks) + 1):
            let_one_go()
            until(lambda done=done: len(self.order) == done)  # type: ignore[misc]
        wait(*self.tasks)
        for task in self.tasks:
            fetch(task)
        return self.order


@pytest.mark.parametrize("number", range(3))
def test_permits(number: int) -> None:
    semaphore = Semaphore(0)
    line = Line(*[semaphore.acquire] * 3)
    for _ in range(2):
        line.interrupt(number)
    assert line.end(semaphore.release) == [0, 1, 2]


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_locks(kind: type[Lock]) -> None:
    lock = kind()

    served: list[int] = []

    def use(number: int) -> None:
        with lock:
            served.append(number)

    lock.acquire()
    line = Line(*[functools.partial(use, number) for number in range(3)])
    for number in (0, 2, 1, 0):
        line.interrupt(number)
    lock.release()
    wait(*line.tasks)
    assert served == [0, 1, 2]


@pytest.mark.parametrize("number", range(3))
def test_autoreset_events(number: int) -> None:
    event = Event(autoreset=True)
    line = Line(event.wait, event.wait, event.wait)
    line.interrupt(number)
    assert line.end(event.set) == [0, 1, 2]


@pytest.mark.parametrize("number", range(3))
def test_gets_and_puts(number: int) -> None:
    channel: Channel[int] = Channel()
    line = Line(channel.get, lambda: select(channel.get_op()), channel.get)
    line.interrupt(number)
    assert line.end(lambda: channel.put_nowait(1)) == [0, 1, 2]
    line = Line(*[lambda n=n: channel.put(n) for n in range(3)])  # type: ignore[misc]
    line.interrupt(number)
    got: list[int] = []
    assert line.end(lambda: got.append(channel.get_nowait())) == [0, 1, 2]
    assert got == [0, 1, 2]


def test_select_in_each_of_its_queues() -> None:
    channel: Channel[int] = Channel()
    event = Event(autoreset=True)

    def either() -> object:
        return select(event.wait_op(), channel.get_op())

    line = Line(either, channel.get, event.wait, either)
    line.interrupt(0)
    line.interrupt(3)
    channel.put_nowait(1)
    until(lambda: line.order == [0])
    channel.put_nowait(2)
    until(lambda: line.order == [0, 1])
    event.set()
    until(lambda: line.order == [0, 1, 2])
    event.set()
    wait(*line.tasks)
    assert line.order == [0, 1, 2, 3]


def test_one_that_is_interrupted_all_the_time_does_not_starve() -> None:
    lock = Lock()
    over: list[bool] = []
    served: list[int] = []

    def crowd(number: int) -> None:
        while not over:
            with lock:
                served.append(number)
                fetch(spawn(int))

    lock.acquire()
    line = Line(lambda: (lock.acquire(), lock.release()))
    others = [spawn(crowd, number) for number in range(4)]
    until_suspended(*others)
    lock.release()

    def interrupt_once_a_turn() -> None:
        scope, before = line.scopes[0], len(served)
        assert scope.deadline is not None
        scope.deadline -= 0.001
        until(lambda: len(served) > before or line.order)

    # Interrupts, not turns: the others take many while its thread gets no processor.
    interrupts = 0
    while not line.order and interrupts < 5000:
        interrupt_once_a_turn()
        interrupts += 1
    starves = not line.order
    over.append(True)
    wait(*others, *line.tasks)
    assert not starves
