"""Greenlets of the program's own are left in the middle, and die later, anywhere."""

import gc
import sys
import threading
from collections.abc import Callable

import greenlet
from support.gates import until

from taskrt import CancelScope, Event, Lock, current_task, fetch, sleep, spawn

# Without the GIL greenlet waits for itself if another thread than its own ends one.
DIES_ANYWHERE: bool = getattr(sys, "_is_gil_enabled", lambda: True)()

here = threading.local()


def leave(back: greenlet.greenlet) -> None:
    """Go back, and not come again; as another task, on another thread, it cannot."""
    try:
        back.switch()
    except greenlet.error:
        pass


def in_scope(back: greenlet.greenlet) -> None:
    with CancelScope():
        leave(back)


def in_call(back: greenlet.greenlet) -> None:
    fetch(spawn(in_scope, back))
    leave(back)


def in_calls(back: greenlet.greenlet) -> None:
    with CancelScope():
        fetch(spawn(lambda: fetch(spawn(in_scope, back))))
        leave(back)


def in_lock(back: greenlet.greenlet) -> None:
    lock, event = Lock(), Event()
    with lock:
        spawn(event.set)
        event.wait()
        leave(back)


def cleaning_up(back: greenlet.greenlet) -> None:
    try:
        leave(back)
    finally:
        try:
            fetch(spawn(int))
        except RuntimeError:
            pass  # the process ends


def a_task(job: Callable[[greenlet.greenlet], None], n: int) -> object:
    # One that an earlier task on this thread has left dies within this one.
    vars(here).pop("left", None)
    task = current_task()
    left = greenlet.greenlet(job)
    left.switch(greenlet.getcurrent())
    assert current_task() is task
    if n % 2:
        sleep(0)
    fetch(spawn(int))
    assert current_task() is task
    if n % 3 == 0:
        return None  # it dies with the task
    if n % 3 == 1 and DIES_ANYWHERE:
        return left if n % 2 else [left, sys._getframe()]  # or in a collection
    here.left = left
    return None


def main(name: str) -> None:
    job = {
        job.__name__: job
        for job in (leave, in_scope, in_call, in_calls, in_lock, cleaning_up)
    }[name]
    for n in range(40):
        tasks = [spawn(a_task, job, k) for k in range(12)]
        found = [fetch(task) for task in tasks]
        del tasks
        if n % 2:
            found.clear()
        fetch(spawn(gc.collect if n % 5 == 0 else int))
        assert current_task() is None
        fetch(spawn(sleep, 0.0001))
    # As the process ends, in the middle still.
    kept = greenlet.greenlet(in_scope)
    kept.switch(greenlet.getcurrent())
    tasks = [spawn(a_task, job, k) for k in range(12)]
    until(lambda: all(task.done() for task in tasks))
    setattr(sys, "kept", [kept, tasks])  # noqa: B010
    print("done")


main(sys.argv[1])
