"""The same tasks as in with_taskrt.py, spawned and fetched by a task."""

from suspend import with_taskrt
from taskrt import fetch, spawn, wait


def run(count: int) -> int:
    """Spawn and fetch so many tasks; return how many of them suspended."""
    driver = spawn(with_taskrt.run, count)
    wait(driver, timeout=600.0)  # with a timeout it does not run it on this stack
    return fetch(driver)
