"""Ctrl-C comes while main waits, in every way there is: nothing is lost or left behind.

It comes from a thread as soon as main has slept, or is just about to end the wait.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from itertools import islice, repeat

from support.gates import until, until_suspended

from taskrt import (
    Barrier,
    Channel,
    Condition,
    Event,
    Latch,
    Lock,
    Queue,
    RLock,
    Semaphore,
    TaskGroup,
    Waiter,
    cancel_requested,
    fetch,
    join,
    select,
    sleep,
    spawn,
    stats,
    wait,
    wait_all,
    wait_any,
    wait_readable,
    wait_writable,
)


def sleeps() -> int:
    return stats()["workers"][0]["sleeps"]


def interrupt(before: int, done: Callable[[], object] = int) -> None:
    while sleeps() == before:
        time.sleep(0.0001)
    done()
    os.kill(os.getpid(), signal.SIGINT)


def interrupted(call: Callable[[], object]) -> None:
    """Call it, and have Ctrl-C end it."""
    thread = threading.Thread(target=interrupt, args=(sleeps(),))
    thread.start()
    try:
        call()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError(f"{call} was not interrupted")
    thread.join()


def others_run() -> None:
    """Leave a task on main, if there is nobody else to run it."""
    assert fetch(spawn(int)) == 0


# --- while main sleeps ----------------------------------------------------------------


def hold(lock: Lock | RLock, free: Event) -> None:
    with lock:
        free.wait()


for kind in (Lock, RLock):
    lock, free = kind(), Event()
    keeper = spawn(hold, lock, free)
    until_suspended(keeper)
    interrupted(lock.acquire)
    interrupted(lock.__enter__)
    assert lock.statistics().tasks_waiting == 0
    free.set()
    wait(keeper)
    with lock:
        assert lock.locked()
    assert not lock.locked()

semaphore = Semaphore(0)
interrupted(semaphore.acquire)
assert semaphore.statistics().tasks_waiting == 0
semaphore.release()
assert semaphore.acquire(blocking=False)

for event in (Event(), Event(autoreset=True)):
    interrupted(event.wait)
    assert event.statistics().tasks_waiting == 0
    event.set()
    assert event.wait()

condition = Condition()
with condition:
    interrupted(condition.wait)
    assert condition.statistics().tasks_waiting == 0
    assert condition._is_owned()

barrier, latch, waiter = Barrier(2), Latch(1), Waiter()
interrupted(barrier.wait)
assert barrier.broken
interrupted(latch.wait)
interrupted(waiter.park)
assert latch.statistics().tasks_waiting == waiter.statistics().tasks_waiting == 0
waiter.wake()
assert waiter.park()

channel: Channel[int] = Channel()
interrupted(channel.get)
interrupted(lambda: channel.put(1))
interrupted(lambda: next(channel))
interrupted(lambda: select(channel.get_op(), channel.put_op(2), Event().wait_op()))
looks = channel.statistics()
assert (looks.tasks_waiting_get, looks.tasks_waiting_put, looks.qsize) == (0, 0, 0)

queue: Queue[int] = Queue()
interrupted(queue.get)
queue.put(3)
interrupted(queue.join)
assert queue.get() == 3

interrupted(lambda: sleep(1000))
interrupted(lambda: Event().wait(1000))

ends: list[str] = []


def child(stop: Event) -> None:
    try:
        stop.wait()
    finally:
        ends.append("cancelled" if cancel_requested() else "stopped")


def group() -> None:
    with TaskGroup() as members:
        for _ in range(3):
            until_suspended(members.spawn(child, Event()))


interrupted(group)
assert ends == ["cancelled"] * 3

stop = Event()
tasks = [spawn(child, stop) for _ in range(3)]
until_suspended(*tasks)
interrupted(lambda: fetch(tasks[0]))
interrupted(lambda: wait(*tasks))
interrupted(lambda: wait_all(tasks))
interrupted(lambda: wait_any(tasks))
interrupted(lambda: join(int, lambda: stop.wait()))
stop.set()
wait(*tasks)
assert ends[3:] == ["stopped"] * 3

if os.path.isdir("/proc/self/fd"):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    interrupted(lambda: wait_readable(reader))
    os.write(writer, b"x")
    assert wait_readable(reader)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    interrupted(lambda: wait_writable(writer))
others_run()

# --- while the wait ends --------------------------------------------------------------


def race(call: Callable[[], object], end: Callable[[], object]) -> bool:
    """End the wait and interrupt it; return whether it was interrupted."""
    thread = threading.Thread(target=interrupt, args=(sleeps(), end))
    thread.start()
    was_interrupted = False
    try:
        call()
        thread.join()
        until(lambda: False)  # it is on its way
    except KeyboardInterrupt:
        was_interrupted = True
    thread.join()
    return was_interrupted


# No bytecode lies between the end of the wait and the place where it is counted.
for _ in range(50):
    items: Channel[int] = Channel(1)
    got: list[int] = []
    assert race(lambda: got.extend(islice(items, 1)), lambda: items.put_nowait(4))
    assert len(got) + items.qsize() == 1

    lock = Lock()
    lock.acquire()
    held: list[bool] = []
    assert race(lambda: held.extend(map(lock.acquire, [True])), lock.release)
    assert lock.locked() == bool(held)

    event = Event(autoreset=True)
    seen: list[bool] = []
    assert race(lambda: seen.extend(map(event.wait, repeat(None, 1))), event.set)
    assert event.is_set() != bool(seen)
others_run()
print("as good as new")
