"""Main ends with failures that nobody has fetched: each is reported once."""

import atexit
import os
import sys
from collections.abc import Callable

from taskrt import Spawner, fetch, spawn, wait


def report(
    unraisable: "sys.UnraisableHookArgs", write: Callable[..., object] = os.write
) -> None:
    """Say it in one piece, since threads may do so at the same time.

    Those of tasks that die with the modules come too late for this: Python says them.
    """
    write(2, f"reported: {unraisable.exc_value}\n".encode())


def fail(i: int) -> None:
    raise ValueError(f"<failure {i}>")


sys.unraisablehook = report
# Once all threads have ended, the interpreter's own: it works to the very last.
atexit.register(setattr, sys, "unraisablehook", sys.__unraisablehook__)
held = [spawn(fail, i) for i in range(5)]
wait(*held)
pending = [spawn(fail, i) for i in range(5, 10)]
for i in range(10, 15):
    spawn(fail, i)
wait(Spawner(detached=True)(fail, 15))
fetched = spawn(fail, 99)
try:
    fetch(fetched)
except ValueError:
    pass
defused = spawn(fail, 98)
defused.defuse()
sys.stdout.write("main ends\n")
