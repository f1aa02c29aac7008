"""A task that is running until it is told to end, so that its fetchers must suspend."""

import threading

from taskrt import Task, fetch, spawn


class Gate:
    """Such a task, on a thread outside the pool; for a pool of one worker.

    with Gate() as gate:
        waiter = spawn(fetch, gate.task)
        ...
        gate.open()
    """

    task: Task[None]

    def __enter__(self) -> "Gate":
        self._running = threading.Event()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._running.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self._thread.join()

    def open(self) -> None:
        """Let the task end."""
        self._opened.set()

    def _run(self) -> None:
        self.task = spawn(self._body)
        fetch(self.task)  # runs it here: the only worker waits for it to run

    def _body(self) -> None:
        self._running.set()
        self._opened.wait()
