"""Tasks that stand still until a test says go.

Four tools that make an order certain at every pool size, one worker included:

* `Gate` holds a task in the state "running" on a thread outside the pool, so no worker
  is lost to it, and whoever fetches it suspends for certain.
* `pinned` spawns a task that only the spawning thread may start, so it stays "pending"
  until that thread waits, and runs there.
* `until` runs other work until a condition holds.
* `join` waits for threads and works meanwhile. A task that main has started while it
  waited can only go on there, so main must not leave it for a plain `Thread.join` if
  one of those threads waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import taskrt

pinned = taskrt.Spawner(pinned=True)


def until(condition: Callable[[], object]) -> None:
    """Run pending work until `condition()` is true; the watchdog ends a vain wait."""
    while not condition():
        if not taskrt.yield_now():
            time.sleep(0.0002)


def here() -> taskrt.Task[object]:
    """The current task, where there is one."""
    task = taskrt.current_task()
    assert task is not None
    return task


def join(*threads: threading.Thread) -> None:
    """Run pending work until all `threads` have ended."""
    until(lambda: not any(thread.is_alive() for thread in threads))
    for thread in threads:
        thread.join()


def end_of(task: taskrt.Task[object]) -> None:
    """Wait for it with the thread, which runs nothing meanwhile."""
    ended = threading.Event()
    task.add_done_callback(lambda _: ended.set())
    assert ended.wait(30)


def until_suspended(*tasks: taskrt.Task[object]) -> None:
    """Run pending work until all `tasks` are suspended."""
    until(lambda: all(task.state == "suspended" for task in tasks))


class Gate:
    """A task that is running, on a thread of its own, until `open` is called.

    with Gate("value") as gate:
        waiter = spawn(fetch, gate.task)
        until_suspended(waiter)
        gate.open()
        assert fetch(waiter) == "value"

    Leaving the block opens the gate and joins its thread.
    """

    def __init__(self, value: object = None, error: BaseException | None = None):
        self._value = value
        self._error = error
        self._started = threading.Event()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def task(self) -> taskrt.Task[Any]:
        return self._task

    def open(self) -> None:
        """Let the task end; returns before it has."""
        self._opened.set()

    def close(self) -> None:
        """Let the task end and wait until it and its waiters' wake-ups are done."""
        self.open()
        self._thread.join()

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        self._task = pinned(self._body)
        taskrt.wait(self._task)  # runs it here: no other thread may
        self._task.defuse()

    def _body(self) -> object:
        self._started.set()
        self._opened.wait()
        if self._error is not None:
            raise self._error
        return self._value
