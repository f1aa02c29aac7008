"""Tasks that have ended in each way, and looks at how others end."""

from __future__ import annotations

import gc

from support.gates import pinned

from taskrt import Task, spawn, wait
from taskrt._core import Event


def fail(error: BaseException) -> None:
    raise error


def failed(error: BaseException) -> Task[None]:
    task = spawn(fail, error)
    wait(task)
    return task


def cancelled() -> Task[int]:
    task = pinned(int)
    task.cancel()
    return task


def done(value: object = None) -> Task[object]:
    task = spawn(lambda: value)
    wait(task)
    return task


def wait_for_ever(trail: list[object], mark: object) -> None:
    try:
        Event().wait()
    finally:
        trail.append(mark)


def until_all_suspended(*tasks: Task[None]) -> None:
    """Wait until all are suspended; by real waits, since this may be a plain thread."""
    while not all(task.state == "suspended" for task in tasks):
        Event().wait(0.0005)


def waiters_of(task: Task[object]) -> int:
    """How many wait, by those that hold on to it: nodes hold a reference each."""
    return sum(1 for other in gc.get_referrers(task) if "ubscription" in repr(other))


def types_of(group: BaseExceptionGroup) -> list[type]:
    return [type(error) for error in group.exceptions]
