"""Tasks, plain threads and main that do the same at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from support.gates import join

import taskrt


def crowd(work: Callable[[int], object], *, tasks: int, threads: int) -> int:
    """Call `work(i)` in so many tasks and threads and on main; return how many.

    Each call gets a number of its own. The first error is raised when all are done.
    """
    errors: list[BaseException] = []

    def run(i: int) -> None:
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    started = [taskrt.spawn(run, i) for i in range(tasks)]
    others = [threading.Thread(target=run, args=[tasks + i]) for i in range(threads)]
    for thread in others:
        thread.start()
    run(tasks + threads)
    taskrt.wait(*started)
    join(*others)
    if errors:
        raise errors[0]
    return tasks + threads + 1
