"""The joblib backend: what `Parallel` asks for, on the pool of taskrt."""

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib.parallel
from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

from taskrt import _core
from taskrt._core import RLock
from taskrt.interop._joblib_run import Batch, Callback, Job, Run
from taskrt.interop._task_places import ConfigPlace, TaskPlace

__all__ = ["TaskBackend", "install"]


class TaskBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Batches as tasks. One of these serves one `Parallel`; see `configure`."""

    uses_threads = True
    supports_sharedmem = True
    # So Parallel fetches results instead of having callbacks bring them: _joblib_run.
    supports_retrieve_callback = False
    supports_return_generator = True
    supports_timeout = True

    # Of the batches that joblib makes where it is not told their size, in seconds. A
    # batch costs joblib some 30 microseconds, and a thread that is idle at the end
    # waits for no more than one.
    MIN_IDEAL_BATCH_DURATION = 0.002
    MAX_IDEAL_BATCH_DURATION = 0.02

    def __init__(self, nesting_level: int | None = None, **kwargs: Any) -> None:
        super().__init__(nesting_level=nesting_level, **kwargs)
        self.parallel: Any = None
        self._run: Run | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many calls run at a time: no more than the pool has threads."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        most = _core.num_threads()
        if n_jobs < 0:
            return max(most + 1 + n_jobs, 1)
        return min(n_jobs, most)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Begin to serve a `Parallel`; return how many calls run at a time.

        The object that a configuration holds is the same for all who see that: each
        `Parallel` gets one of its own in its place.
        """
        limit = self.effective_n_jobs(n_jobs)
        if limit == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if self.parallel is not parallel:
            own = type(self)(nesting_level=self.nesting_level)
            own.parallel = parallel
            raise FallbackToBackend(own)
        _take_places()
        if not isinstance(parallel._lock, RLock):
            # Held while the input is asked for more, which may wait: a lock of threads
            # would let in whoever runs on this one meanwhile.
            parallel._lock = RLock()
        return limit

    def start_call(self) -> None:
        """Begin a call of the `Parallel`."""
        parallel = self.parallel
        limit = parallel._cached_effective_n_jobs
        ordered = parallel.return_ordered
        self._run = Run(parallel, limit, ordered)
        # Parallel takes results from its list of batches one by one, the first to come
        # in our order if any will do. Of its own it would poll for those.
        self._is_unordered = not ordered
        parallel.return_ordered = True
        # A call that was aborted leaves batches there, which the next would run.
        parallel._ready_batches = queue.Queue()

    def stop_call(self) -> None:
        """End a call, however it has ended."""
        self._run = None
        self.parallel.return_ordered = not self._is_unordered

    def terminate(self) -> None:
        """Forget what was learnt about batches."""
        self.reset_batch_stats()

    def submit(self, func: Batch, callback: Callback) -> Job:
        """Take a batch. `Parallel` holds its lock."""
        assert self._run is not None
        return self._run.submit(func, callback)

    apply_async = submit  # joblib 1.4

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Enclose the retrieval of results, once all that goes at first has begun.

        `Parallel` may take the input for unfinished that a batch has finished just
        then: it looks, and a moment later notes down what it saw.
        """
        if self.parallel._original_iterator is None:
            self.parallel._iterating = False
        yield

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what the call has not done; wait for what runs, after an error.

        Not if time is up: what takes too long may take for ever. Nor in a finalizer.
        """
        run = self._run
        if run is None:
            return
        run.cancel("joblib.Parallel was aborted")
        error = sys.exc_info()[1]
        has_failed = error is not None and not isinstance(error, GeneratorExit)
        if has_failed and not run.is_late:
            run.wait()

    def get_nested_backend(self) -> tuple["TaskBackend", None]:
        """Return what is in force for calls within batches: the same pool."""
        return type(self)(nesting_level=(self.nesting_level or 0) + 1), None


_taking = threading.RLock()  # a finalizer may call joblib meanwhile


def _take_places() -> None:
    """Keep by the task what joblib and scikit-learn keep by the thread."""
    with _taking:
        if isinstance(joblib.parallel._backend, threading.local):
            joblib.parallel._backend = ConfigPlace(joblib.parallel._backend, _is_shared)
        config: Any = sys.modules.get("sklearn._config")
        place = getattr(config, "_threadlocal", None)
        if isinstance(place, threading.local):
            config._threadlocal = TaskPlace(place)


def _is_shared(config: Any) -> bool:
    return isinstance(config["backend"], TaskBackend)


def install() -> None:
    """Make the backend known to joblib."""
    _take_places()
    joblib.parallel.register_parallel_backend("taskrt", TaskBackend)
