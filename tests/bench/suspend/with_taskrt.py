"""Tasks that start on recycled stacks of their own, a few at a time, and yield once."""

from taskrt import fetch, spawn, wait, yield_now

AT_ONCE = 32


def run(count: int) -> int:
    """Spawn and fetch so many tasks; return how many of them suspended."""
    return sum(run_batch() for _ in range(count // AT_ONCE))


def run_batch() -> int:
    """Spawn tasks, wait for them and fetch them."""
    tasks = [spawn(yield_now) for _ in range(AT_ONCE)]
    # With a timeout it runs none of them on this stack, and the last one ends last.
    wait(*reversed(tasks), timeout=600.0)
    return sum(fetch(task) for task in tasks)
