"""Where a test's body runs: on main, in a task, on a plain thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from support.gates import join

import taskrt

Place = Callable[[Callable[[], object]], None]


def on_main(fn: Callable[[], object]) -> None:
    fn()


def in_task(fn: Callable[[], object]) -> None:
    taskrt.fetch(taskrt.spawn(fn))


def in_thread(fn: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            fn()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    join(thread)
    if errors:
        raise errors[0]
