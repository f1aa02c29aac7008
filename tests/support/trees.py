"""A tree of tasks, whose inner ones wait in every way."""

from __future__ import annotations

from taskrt import fetch, sleep, spawn, wait_all, yield_now


def tree(depth: int) -> int:
    """Count the leaves of a tree of tasks that wait in every way."""
    if depth == 0:
        sleep(0.0001)
        return 1
    tasks = [spawn(tree, depth - 1) for _ in range(3)]
    yield_now()
    if depth % 2:
        wait_all(tasks)
    return sum(map(fetch, tasks))
