"""Events: set for all, or for one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from taskrt import fetch, spawn, wait
from taskrt._core import CancelScope, Event


def test_no_setting_is_lost_while_a_deadline_moves(
    set_num_threads: Callable[[int], object],
) -> None:
    """Each move lets those that wait look again, perhaps just as it has come."""
    set_num_threads(4)
    event, taken = Event(autoreset=True), Event(autoreset=True)
    scope = CancelScope()

    def take() -> None:
        with scope:
            for _ in range(2000):
                event.wait()
                taken.set()

    def move() -> None:
        far = time.monotonic() + 1e6
        while not task.done():
            far -= 1
            scope.deadline = far

    def give() -> None:
        for _ in range(2000):
            event.set()
            taken.wait()

    task, giver = spawn(take), spawn(give)
    mover = threading.Thread(target=move)
    mover.start()
    wait(task, giver)
    mover.join()
    fetch(task)
