"""At exit Cancelled is sent to threads: a callback of taskrt is called again then."""

import atexit
import os
import time

from taskrt import Spawner, Task, _core

calls: list[str] = []


def callback(task: Task[object]) -> None:
    calls.append("call")
    if len(calls) == 1:
        while True:
            time.sleep(0.001)  # until it is interrupted
    calls.append("end")


def last() -> None:
    os.write(1, " ".join(calls).encode())


def deaf() -> None:
    while True:
        time.sleep(0.001)


atexit.register(last)
detached = Spawner(detached=True)
_core._subscribe(detached(time.sleep, 0.02), callback)
while not calls:
    time.sleep(0.001)
detached(deaf)  # for this one it is sent
time.sleep(0.02)
