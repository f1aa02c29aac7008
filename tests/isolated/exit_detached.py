"""Main ends while detached tasks are left: they are cancelled at once."""

import os

from support.gates import Gate, until_suspended

from taskrt import Spawner, Task, fetch, spawn

detached = Spawner(detached=True, pinned=True)


def waits(task: Task[object]) -> None:
    try:
        fetch(task)
    finally:
        os.write(1, b"detached cleaned up\n")


gate = Gate()
until_suspended(detached(waits, gate.task))
for _ in range(10):
    detached(os.write, 1, b"must not run\n")
spawn(os.write, 1, b"drained\n")
