"""A sleeping task, while main waits for it and nothing else is to do."""

from sleep_accuracy import with_time
from taskrt import fetch, sleep, spawn


def lateness(count: int) -> list[float]:
    """Return by how many seconds each sleep was too long."""
    task = spawn(with_time.lateness, count, sleep)
    # With a timeout it runs on a stack of its own, and not on main's.
    return fetch(task, timeout=600.0)
