"""One task at a time on a stack of its own, for which the main thread suspends."""

from itertools import repeat

from taskrt import fetch, spawn


def run(count: int) -> int:
    """Spawn and fetch so many tasks; return how many there were."""
    done = 0
    for _ in repeat(None, count):
        done += fetch(spawn(int, 1), timeout=600.0)
    return done
