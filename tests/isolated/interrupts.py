"""Interrupts at each place of our code in Python: nothing is lost or left behind.

The argument says of which call. In a process of its own: in Python 3.11 a profiler, by
which they are made, can hang once another test has raised something in a thread that
has ended.
"""

import sys
from contextlib import AbstractContextManager

from support.gates import until
from support.interrupts import at_each_call

import taskrt
from taskrt import (
    CancelScope,
    TaskGroup,
    as_completed,
    fail_after,
    fetch_all,
    groups,
    join,
    race,
    sleep,
    spawn,
    spawn_after,
    timeouts,
    timers,
    waits,
)

LONG = 1000
SOON = 0.0001

Interrupted = AbstractContextManager[object]


def limit(interrupted: Interrupted) -> None:
    with interrupted, fail_after(LONG):
        pass


def group(interrupted: Interrupted) -> None:
    with interrupted, TaskGroup() as group:
        for _ in range(3):
            group.spawn(sleep, SOON)


def limited_group(interrupted: Interrupted) -> None:
    with interrupted, TaskGroup(limit=1) as group:
        for _ in range(3):
            group.spawn(sleep, SOON)


def both(interrupted: Interrupted) -> None:
    with interrupted:
        join(int, lambda: sleep(SOON), lambda: sleep(SOON))


def fastest(interrupted: Interrupted) -> None:
    with interrupted:
        race(lambda: sleep(SOON), lambda: sleep(LONG))


def all_of_them(interrupted: Interrupted) -> None:
    """The wait ends although main ends the tasks while it is interrupted."""
    tasks = [spawn(sleep, SOON) for _ in range(3)]
    with interrupted:
        fetch_all(tasks)
    fetch_all(tasks)


def in_order(interrupted: Interrupted) -> None:
    """Each comes once, be it after the interrupt."""
    tasks = [spawn(sleep, SOON) for _ in range(3)]
    ended = as_completed(tasks)
    came = []
    with interrupted:
        for task in ended:
            came.append(task)
    came.extend(ended)
    assert len(came) == len(set(came)) == len(tasks)


def after(interrupted: Interrupted) -> None:
    """The task runs or was never made: it does not wait for ever."""
    first = [spawn(sleep, SOON) for _ in range(3)]
    with interrupted:
        fetch_all([spawn_after(first, int)])
    until(lambda: taskrt.stats()["live"] == 0)


call = globals()[sys.argv[1]]
for step, interrupted in enumerate(at_each_call(groups, timeouts, timers, waits)):
    with CancelScope() as outer:  # whose end tells of one that is still entered
        call(interrupted)
        live = taskrt.stats()["live"]
        assert live == 0, f"{live} tasks outlive the call at step {step}"
    assert not outer.cancel_called
print("done")
