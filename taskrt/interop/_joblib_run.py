"""One call of joblib's Parallel: its batches, each in a task, and who waits for them.

joblib's own loop sleeps 10 ms at a time until callbacks have brought a result. A task
must not block its thread, and a lone worker would wait for itself: so `Parallel` is
told that results are fetched, which it does by `Job.get`, and that waits as tasks do.
"""

import contextvars
import queue
from collections import deque
from collections.abc import Callable
from multiprocessing import TimeoutError as JobTimeoutError
from time import monotonic
from typing import Any

from taskrt import _core
from taskrt._core import CancelScope, Channel, Event, Task
from taskrt.errors import Cancelled, CancelledError
from taskrt.tokens import CancelSource

__all__ = ["Job", "Run"]

Batch = Callable[[], list[Any]]
Callback = Callable[[object], object]


class Job:
    """A batch. `Parallel` keeps one for each, and calls `get` once on each."""

    __slots__ = (
        "_batch",
        "_callback",
        "_ended_at",
        "_results",
        "_run",
        "_started",
        "_task",
    )

    def __init__(self, run: "Run", batch: Batch, callback: Callback) -> None:
        self._run = run
        self._batch: Batch | None = batch
        self._callback: Callback | None = callback
        self._results: list[Any] | None = None
        self._task: Task[None] | None = None  # under the run's lock
        self._started: Event | None = None  # set when there is a task
        self._ended_at = 0.0

    def start(self) -> None:
        """Make the task. Under the lock, once."""
        self._task = self._run.spawn(self._work)
        if self._started is not None:
            self._started.set()

    def defer(self) -> None:
        """Let it wait for its turn. Under the lock, before anybody sees it."""
        self._started = Event()

    def _work(self) -> None:
        batch, self._batch = self._batch, None
        callback, self._callback = self._callback, None
        assert batch is not None
        assert callback is not None
        try:
            self._results = batch()
            self._ended_at = monotonic()
            self._run.end(self, callback)
        except Cancelled:
            raise
        except BaseException as error:
            self._run.fail(error)

    def get(self, timeout: float | None = None) -> list[Any]:
        """Return this batch's results; of one that has ended, if any order will do.

        timeout  seconds to wait at most, None for no limit

        Raises the first error of any batch; multiprocessing.TimeoutError, also for what
        has ended too late while this thread was in the middle of another batch.
        """
        job: Job | None = self
        run = self._run
        begun = monotonic()
        with run.failing.token.scope():
            if run.ended is not None:
                try:
                    job = run.ended.get(timeout)
                except queue.Empty:
                    job = None
            elif not self._wait(timeout):
                job = None
        run.raise_error()
        if job is None or (timeout is not None and job._ended_at - begun > timeout):
            run.is_late = True
            raise JobTimeoutError(f"no result after {timeout} seconds")
        results, job._results = job._results, None
        if results is None:
            raise CancelledError("a task of joblib.Parallel was cancelled")
        return results

    def _wait(self, timeout: float | None) -> bool:
        if self._started is not None:
            begun = monotonic()
            if not self._started.wait(timeout):
                return False
            if timeout is not None:
                timeout = max(0.0, timeout - (monotonic() - begun))
        assert self._task is not None
        return _core.wait(self._task, timeout=timeout)


class Run:
    """A call: at most so many batches at a time, each in a task.

    parallel  the `Parallel`, whose lock is a taskrt.RLock: `submit` and the end of each
              batch hold it
    limit     how many batches have begun and not ended, at most
    ordered   whether `Job.get` gives the results of its own batch
    """

    def __init__(self, parallel: Any, limit: int, ordered: bool) -> None:
        self._lock = parallel._lock
        self._family = _core._Family()
        self._context = contextvars.copy_context()
        self._free = limit
        self._backlog: deque[Job] = deque()
        self._errors: deque[BaseException] = deque()
        self.failing = CancelSource()  # ends the wait of `Job.get`
        self.ended: Channel[Job] | None = None if ordered else Channel(None)
        self.is_over = False  # nobody wants what comes now
        self.is_late = False  # because it has taken too long

    def submit(self, batch: Batch, callback: Callback) -> Job:
        """Take a batch. Under the lock."""
        job = Job(self, batch, callback)
        if self._free:
            self._free -= 1
            job.start()
        else:
            job.defer()
            self._backlog.append(job)
        return job

    def spawn(self, work: Callable[[], None]) -> Task[None]:
        """Spawn in the context of the call: what a batch does to its own is lost."""
        return self._context.copy().run(self._family._adopt, work)

    def end(self, job: Job, callback: Callback) -> None:
        """Have the next batch begin, and `Parallel` hand out another."""
        with self._lock:
            if self.is_over:
                return
            if self._backlog:
                self._backlog.popleft().start()
            else:
                self._free += 1
            callback(None)
        if self.ended is not None:
            self.ended.put_nowait(job)

    def fail(self, error: BaseException) -> None:
        """End the call because of this error, unless another came first."""
        if not self.is_over:
            self._errors.append(error)
            self.cancel("another batch has failed")
            self.failing.cancel()

    def raise_error(self) -> None:
        """Raise the first error, if there is one."""
        if self._errors:
            error = self._errors.popleft()
            self._errors.clear()
            try:
                raise error
            finally:
                del error  # it refers to this frame

    def cancel(self, reason: str) -> None:
        """Start no more, and ask what runs to end. No suspension point, and without a
        lock: finalizers call it."""
        self.is_over = True
        self._family._scope.cancel(reason)

    def wait(self) -> None:
        """Wait for what runs, until an interrupt. No checkpoint."""
        with CancelScope(shield=True), self._family:
            pass
