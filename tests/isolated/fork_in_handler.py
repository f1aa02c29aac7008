"""A signal handler forks while main waits: the child ends when the handler returns.

It must take nothing of what is to wake main in the parent.
"""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from taskrt import Event, fetch, spawn, stats, wait_readable, yield_now

children: list[int] = []
parked_before = 0


def parked() -> int:
    return stats()["workers"][0]["parked"]


def fork(signum: int, frame: FrameType | None) -> None:
    if parked() == parked_before:
        signal.setitimer(signal.ITIMER_REAL, 0.002)  # main has yet to wait
        return
    pid = os.fork()
    if pid:
        children.append(pid)


def woken_after_the_fork(
    wait: Callable[[], object], wake: Callable[[], object]
) -> None:
    def watch() -> None:
        while not children:
            time.sleep(0.001)
        statuses.append(os.waitpid(children.pop(), 0)[1])
        wake()

    global parked_before
    statuses: list[int] = []
    thread = threading.Thread(target=watch)
    thread.start()
    parked_before = parked()
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    wait()
    thread.join()
    assert statuses == [0], statuses


class Finalized:
    """Part of a cycle: its end is a call in a collection, where no stack is left."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self.wait = wait
        self.cycle = self

    def __del__(self) -> None:
        self.wait()


yield_now()  # start
signal.signal(signal.SIGALRM, fork)
for _ in range(3):
    event = Event()
    woken_after_the_fork(event.wait, event.set)
    event = Event()
    task = spawn(event.wait)
    woken_after_the_fork(lambda: fetch(task), event.set)
    reader, writer = os.pipe()
    woken_after_the_fork(
        lambda: wait_readable(reader),
        lambda: os.write(writer, b"x"),
    )
    event = Event()
    Finalized(event.wait)
    woken_after_the_fork(gc.collect, event.set)
print("all is well")
