"""A task at a time, run by its fetch; it yields once to a task that yields back."""

from itertools import repeat

from taskrt import Task, fetch, spawn, wait, yield_now


def run(count: int) -> int:
    """Spawn and fetch so many tasks; return how many of them suspended."""
    driver = spawn(run_here, count)
    wait(driver, timeout=600.0)  # with a timeout it does not run it on this stack
    return fetch(driver)


def run_here(count: int) -> int:
    """Spawn and fetch them from this task."""
    done = False

    def yield_back() -> None:
        while not done:
            yield_now()

    partner: Task[None] = spawn(yield_back)
    yield_now()
    suspended = 0
    for _ in repeat(None, count):
        suspended += fetch(spawn(yield_now))
    done = True
    fetch(partner)
    return suspended
