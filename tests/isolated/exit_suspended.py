"""Main ends while tasks wait: those whose wait can end do, the others are cancelled.

The gate is on a daemon thread that never opens it.
"""

import os

from support.gates import Gate, pinned, until_suspended

from taskrt import Cancelled, Task, fetch, spawn


def waits(name: str, task: Task[object]) -> None:
    try:
        value = fetch(task)
        os.write(1, f"{name} got {value}\n".encode())
    except Cancelled:
        os.write(1, f"{name} was cancelled\n".encode())
        raise
    finally:
        os.write(1, f"{name} cleaned up\n".encode())


gate = Gate()
stuck = spawn(waits, "stuck", gate.task)
until_suspended(stuck)
behind = spawn(waits, "behind it", stuck)
until_suspended(behind)
in_time = pinned(lambda: "in time")
spawn(waits, "lucky", in_time)
