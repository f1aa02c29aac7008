"""Ctrl-C while main, in a fetch, runs a task that sleeps in one long system call."""

import os
import time

from support.gates import Gate, pinned

from taskrt import fetch


def guest() -> None:
    os.write(1, b"main is in\n")
    time.sleep(60)


gate = Gate()
task = pinned(guest)
fetch(gate.task)
