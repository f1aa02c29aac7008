"""The calls, by taskrt, from a task."""

from blocking.with_taskrt import run as run_here
from taskrt import fetch, spawn


def run(data: range) -> int:
    """Return the sum of what the calls return."""
    return fetch(spawn(run_here, data))
