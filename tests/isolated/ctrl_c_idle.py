"""Main sleeps in a fetch; the signal comes from a thread as soon as main has slept."""

import os
import signal
import threading

from support.gates import Gate, until_suspended

from taskrt import fetch, spawn, stats


def interrupt() -> None:
    while stats()["workers"][0]["sleeps"] == before:
        pass
    os.kill(os.getpid(), signal.SIGINT)


gate = Gate()
waiter = spawn(fetch, gate.task)
until_suspended(waiter)
before = stats()["workers"][0]["sleeps"]
threading.Thread(target=interrupt, daemon=True).start()
fetch(waiter)
