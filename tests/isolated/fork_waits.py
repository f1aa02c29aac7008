"""The process forks while tasks wait, in every way there is.

The child uses primitives of its own, the parent goes on as if nothing had happened. A
lock that a task of the parent has stays locked in the child: nobody there gives it up.
"""

import os
from collections.abc import Callable

from support.gates import until, until_suspended

from taskrt import (
    Barrier,
    Channel,
    Condition,
    DeadlockError,
    Event,
    Latch,
    Lock,
    Queue,
    RLock,
    Semaphore,
    Task,
    TaskGroup,
    TaskLostError,
    Waiter,
    as_completed,
    fetch,
    move_on_after,
    select,
    sleep,
    sleep_op,
    spawn,
    wait,
    wait_any,
    wait_readable,
)


class Place:
    """One of each, and tasks that wait there."""

    def __init__(self) -> None:
        self.lock, self.rlock, self.condition = Lock(), RLock(), Condition()
        self.semaphore, self.event, self.auto = Semaphore(0), Event(), Event(True)
        self.barrier, self.latch, self.waiter = Barrier(2), Latch(1), Waiter()
        self.channel: Channel[int] = Channel()
        self.full: Channel[int] = Channel()
        self.queue: Queue[int] = Queue()
        self.reader, self.writer = os.pipe()
        self.free = Event()
        self.keeper = spawn(self.keep)
        until_suspended(self.keeper)
        calls: list[Callable[[], object]] = [
            lambda: (self.lock.acquire(), self.lock.release()),
            lambda: (self.rlock.acquire(), self.rlock.release()),
            self.wait_for_a_change,
            self.semaphore.acquire,
            self.event.wait,
            self.auto.wait,
            self.barrier.wait,
            self.latch.wait,
            self.waiter.park,
            self.channel.get,
            lambda: self.full.put(1),
            self.queue.get,
            lambda: select(self.event.wait_op(), Channel().get_op()),
            lambda: fetch(self.keeper),
            lambda: wait_any([self.keeper]),
            lambda: wait_readable(self.reader),
            lambda: self.event.wait(1000),
        ]
        self.tasks = [spawn(call) for call in calls]
        until_suspended(*self.tasks)

    def keep(self) -> None:
        with self.lock, self.rlock:
            self.free.wait()

    def wait_for_a_change(self) -> None:
        with self.condition:
            self.condition.wait()

    def end(self) -> None:
        """Let all go on, and see that they do."""
        self.free.set()
        with self.condition:
            self.condition.notify_all()
        self.semaphore.release()
        self.event.set()
        self.auto.set()
        self.barrier.wait()
        self.latch.count_down()
        self.waiter.wake()
        self.channel.put(1)
        assert self.full.get() == 1
        self.queue.put(2)
        os.write(self.writer, b"x")
        for task in [self.keeper, *self.tasks]:
            fetch(task)
        with self.lock, self.rlock:
            pass


def refuses(call: Callable[[], object], *errors: type[Exception]) -> None:
    try:
        call()
    except errors:
        return
    raise AssertionError(f"{call} was not refused")


def child(parents: Place) -> None:
    for _ in range(2):
        Place().end()
    with TaskGroup() as group:
        group.spawn(sleep, 0.001)
    with move_on_after(0.001):
        Event().wait()
    assert select(Event().wait_op(), sleep_op(0.001)) == (1, None)

    lost: Task[None] = parents.keeper
    refuses(lambda: fetch(lost), TaskLostError)
    refuses(lambda: wait(*parents.tasks), TaskLostError)
    refuses(lambda: wait_any([lost]), TaskLostError)
    refuses(lambda: list(as_completed([lost])), TaskLostError)
    refuses(lambda: select(lost.wait_op()), TaskLostError)

    assert parents.lock.locked()
    assert not parents.lock.acquire(timeout=0.001)
    assert not fetch(spawn(lambda: parents.rlock.acquire(timeout=0.001)))
    assert not parents.event.wait(0.001)
    if os.path.isdir("/proc/self/task"):
        refuses(parents.lock.acquire, DeadlockError)


def fork(parents: Place) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child(parents)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


for _ in range(3):
    place = Place()
    fork(place)  # by main
    place.end()
    place = Place()
    forker = spawn(fork, place)
    until(forker.done)
    fetch(forker)
    place.end()
    place, over = Place(), Event()
    forker = spawn(fork, place)
    forker.add_done_callback(lambda _, over=over: over.set())  # type: ignore[misc]
    over.wait()  # main waits for something else than the task that forks
    fetch(forker)
    place.end()
print("all is well")
