"""Main ends while tasks wait: those whose wait can end do, the others are cancelled.

The gate is on a daemon thread that never opens it.
"""

import os

from support.gates import Gate, pinned, until_suspended

from taskrt import Cancelled, CancelledError, Task, fetch, spawn


def waits(name: str, task: Task[object]) -> None:
    try:
        value = fetch(task)
        os.write(1, f"{name} got {value}\n".encode())
    except (Cancelled, CancelledError):
        os.write(1, f"{name} was cancelled\n".encode())
        raise
    finally:
        os.write(1, f"{name} cleaned up\n".encode())


gate = Gate()
stuck = spawn(waits, "stuck", gate.task)
until_suspended(stuck)
# It may learn of its own cancellation first, or of the one of what it waits for.
behind = spawn(waits, "behind it", stuck)
behind.defuse()
until_suspended(behind)
in_time = pinned(lambda: "in time")
spawn(waits, "lucky", in_time)
