"""Main ends with failures that nobody has fetched: each is reported once."""

import os
import sys
from collections.abc import Callable

from taskrt import Spawner, fetch, spawn, wait


def report(
    unraisable: "sys.UnraisableHookArgs", write: Callable[..., object] = os.write
) -> None:
    """Say it in one piece, since threads may do so at the same time."""
    write(2, f"reported {unraisable.exc_value}\n".encode())


def fail(i: int) -> None:
    raise ValueError(f"<failure {i}>")


sys.unraisablehook = report
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
