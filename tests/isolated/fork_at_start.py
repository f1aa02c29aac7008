"""The process forks while the runtime starts, as a signal handler may."""

import atexit
import os
from collections.abc import Callable

from taskrt import Event, fetch, spawn

register = atexit.register
pids: list[int] = []


def fork(fn: Callable[..., object], *args: object) -> Callable[..., object]:
    if not pids:
        pids.append(os.fork())
    return register(fn, *args)


atexit.register = fork  # type: ignore[assignment]
assert Event().wait(0.001) is False
assert len(pids) == 1
assert fetch(spawn(pow, 2, 3)) == 8
if pids[0] == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 7
print("all is well")
