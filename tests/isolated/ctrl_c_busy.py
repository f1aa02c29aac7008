"""Main fetches, one task runs, a hundred are queued; all would take a minute.

Prints "main is in" once main itself is in the middle of a task.
"""

import os
import time

from taskrt import fetch, spawn, thread_id


def minute() -> None:
    if thread_id() == 0:
        os.write(1, b"main is in\n")
        for _ in range(1200):
            # A signal just before a sleep in C code is noticed only after it.
            time.sleep(0.05)
    time.sleep(60)


running = spawn(minute)
queued = [spawn(minute) for _ in range(100)]
fetch(running)
