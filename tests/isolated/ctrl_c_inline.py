"""Ctrl-C in a task that main waits for and runs itself: it is main's own call."""

import os
import signal

from support.gates import pinned

from taskrt import fetch, wait


def interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass


for ask in (fetch, wait):
    task = pinned(interrupted)
    try:
        ask(task)
    except KeyboardInterrupt:
        print("interrupted")
    task.defuse()
    assert task.state == "failed", task.state
