"""Ctrl-C while main, in a fetch, runs a task that sleeps in one long system call."""

import os
import threading
import time

from support.gates import Gate, pinned

from taskrt import fetch


def tell_when_asleep(native_id: int) -> None:
    """Say that main is in, once it is: a signal just before would wait for its end."""
    state, seen = "", 0
    while seen < 100:
        time.sleep(0.0005)  # without the GIL: that is what main might be waiting for
        with open(f"/proc/self/task/{native_id}/stat", encoding="ascii") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        seen = seen + 1 if state == "S" else 0
    os.write(1, b"main is in\n")


def guest() -> None:
    threading.Thread(
        target=tell_when_asleep, args=(threading.get_native_id(),), daemon=True
    ).start()
    time.sleep(60)


gate = Gate()
task = pinned(guest)
fetch(gate.task)
