"""Main ends while a worker is in the middle of a task: the exit lets it finish.

The task cannot go on before main, in its exit, has run the pinned one.
"""

import os
import threading

from taskrt import Spawner, num_threads, spawn

started = threading.Event()
may_end = threading.Event()


def run() -> None:
    started.set()
    may_end.wait()
    os.write(1, b"ended\n")


if num_threads() > 1:
    task = spawn(run)
    while not started.is_set():
        started.wait(0.01)
    assert task.state == "running"
else:
    may_end.set()
    task = spawn(run)
Spawner(pinned=True)(may_end.set)
