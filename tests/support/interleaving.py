"""Two tasks on one thread whose blocks overlap without one being within the other."""

from __future__ import annotations

from collections.abc import Callable

import taskrt
from taskrt import Event, Spawner, fetch_all

Body = Callable[[Callable[[], None]], None]

pinned = Spawner(pinned=True)


def interleave(first: Body, second: Body) -> None:
    """Run both in tasks on this thread, each of which calls its argument once.

    The first gets there, then the second; then the first goes on and ends, then the
    second.
    """
    is_there, is_over = Event(), Event()
    may_go = Event()

    def step_of_first() -> None:
        is_there.set()
        may_go.wait()

    def step_of_second() -> None:
        may_go.set()
        is_over.wait()

    def run_first() -> None:
        first(step_of_first)
        is_over.set()

    def body() -> None:
        one = pinned(run_first)
        is_there.wait()
        fetch_all([one, pinned(second, step_of_second)])

    taskrt.fetch(pinned(body))
