"""The call as a task, which is fetched at once."""

import taskrt
from pair.problem import empty


def run(loop: range) -> int:
    """Spawn and fetch it."""
    f, spawn, fetch = empty, taskrt.spawn, taskrt.fetch
    for _ in loop:
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
        fetch(spawn(f))
    return fetch(spawn(f))
