"""Main and all tasks wait, but something outside of taskrt may end it, and does."""

import ctypes
import os
import queue
import signal
import sys
import threading
import time

from support.gates import until_suspended

from taskrt import (
    Channel,
    Event,
    Lock,
    TaskGroup,
    Timer,
    fetch,
    move_on_after,
    sleep,
    spawn,
    spawn_later,
    wait_readable,
)

event = Event(autoreset=True)
lock = Lock()
channel: Channel[str] = Channel()


def soon(action: object) -> None:
    time.sleep(0.05)
    action()  # type: ignore[operator]


def put() -> None:
    """Put an item once somebody waits for it: main may not have come to that yet."""
    while True:
        try:
            return channel.put_nowait("item")
        except queue.Full:
            time.sleep(0.01)


def thread() -> None:
    """Be ended by a thread that Python knows and taskrt does not."""
    for daemon in (False, True):
        threading.Thread(target=soon, args=(event.set,), daemon=daemon).start()
        event.wait()


def thread_puts() -> None:
    threading.Thread(target=soon, args=(put,)).start()
    assert channel.get() == "item"


def thread_behind_a_task() -> None:
    task = spawn(channel.get)
    until_suspended(task)
    threading.Thread(target=soon, args=(put,)).start()
    assert fetch(task) == "item"


def sleeping_task() -> None:
    with lock:
        task = spawn(lambda: (sleep(0.05), event.set()))
        event.wait()
    fetch(task)


def sleeping_group() -> None:
    with TaskGroup() as group:
        group.spawn(event.wait)
        group.spawn(lambda: (sleep(0.05), event.set()))


def timer() -> None:
    Timer(0.05, event.set)
    event.wait()
    spawn_later(0.05, event.set)
    event.wait()


def deadline() -> None:
    with move_on_after(0.05) as scope:
        event.wait()
    assert scope.cancelled_caught
    assert not event.wait(timeout=0.05)

    def impatient() -> bool:
        return event.wait(timeout=0.05)

    with TaskGroup() as group:
        tasks = [group.spawn(impatient) for _ in range(3)]
    assert not any(fetch(task) for task in tasks)


def descriptor() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        time.sleep(0.05)
        os.write(writer, b"x")
        os._exit(0)
    task = spawn(lambda: (wait_readable(reader), event.set()))
    event.wait()
    fetch(task)
    os.waitpid(child, 0)


def handler() -> None:
    for number in (signal.SIGALRM, signal.SIGUSR1):
        signal.signal(number, lambda *_: event.set())
        until_suspended(waiter := spawn(Event().wait))
        child = os.fork()
        if child == 0:
            time.sleep(0.05)
            os.kill(os.getppid(), number)
            os._exit(0)
        event.wait()
        waiter.cancel()
        os.waitpid(child, 0)
        signal.signal(number, signal.SIG_DFL)


def native() -> None:
    """Wait beside a thread that Python does not know, until an alarm kills all."""
    libc = ctypes.CDLL(None)
    libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None)
    if sys.argv[2:] == ["alarm"]:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
    event.wait()


globals()[sys.argv[1]]()
print("it came")
