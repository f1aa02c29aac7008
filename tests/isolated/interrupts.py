"""Interrupts at each place of a block leave no scope behind, and no task.

The argument says of which block. In a process of its own: in Python 3.11 a profiler, by
which they are made, can hang once another test has raised something in a thread that
has ended.
"""

import sys

from support.interrupts import at_each_call

import taskrt
from taskrt import (
    CancelScope,
    TaskGroup,
    fail_after,
    groups,
    join,
    race,
    sleep,
    timeouts,
    waits,
)

LONG = 1000


def limit() -> None:
    with fail_after(LONG):
        pass


def group() -> None:
    with TaskGroup() as group:
        for _ in range(3):
            group.spawn(sleep, 0.0001)


def limited_group() -> None:
    with TaskGroup(limit=1) as group:
        for _ in range(3):
            group.spawn(sleep, 0.0001)


def both() -> None:
    join(int, lambda: sleep(0.0001), lambda: sleep(0.0001))


def fastest() -> None:
    race(lambda: sleep(0.0001), lambda: sleep(LONG))


body = globals()[sys.argv[1]]
for step, interrupted in enumerate(at_each_call(groups, timeouts, waits)):
    with CancelScope() as outer:  # whose end tells of one that is still entered
        with interrupted:
            body()
        live = taskrt.stats()["live"]
        assert live == 0, f"{live} tasks outlive the block at step {step}"
    assert not outer.cancel_called
print("done")
