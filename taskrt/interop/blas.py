"""One pool for BLAS: matrix products and the like run on the workers of taskrt.

>>> from taskrt.interop import blas
>>> with blas.share_pool():
...     pass  # A @ B in here uses the workers that are idle, and no other threads
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

from taskrt import _core, runtime
from taskrt.interop._blas_libraries import OpenBlas, OpenMp, Other, find_loaded

__all__ = ["Library", "Sharing", "Statistics", "info", "share_pool", "statistics"]

_NEEDS_CONTROL = "install threadpoolctl (taskrt[blas]) to have it limited"


@dataclass(frozen=True)
class Library:
    """A library that computes on threads, as `info` found it.

    name     the file's name; "Accelerate", which has no file, by its own
    kind     "OpenBLAS", "MKL", "BLIS", "Accelerate" or "OpenMP"
    version  the library's own, or ""
    threads  how many a call on this thread would use now; 0 where it does not tell
    steered  whether its parallel work runs on taskrt's workers now
    limited  whether tasks are kept to one of its threads each instead
    reason   why it is not steered, or ""
    """

    name: str
    kind: str
    version: str
    threads: int
    steered: bool
    limited: bool
    reason: str


class Statistics(TypedDict):
    """The result of `statistics`."""

    gangs: int
    worker_jobs: int
    helper_jobs: int
    helpers: int


class Sharing:
    """The result of `share_pool`: sharing goes on until `close`, or its block's end."""

    def __init__(self) -> None:
        self._is_open = True

    def close(self) -> None:
        """Stop sharing, unless somebody else shares too; a second call does nothing.

        Then all libraries have the numbers of threads that they had before, and use
        threads of their own. Calls that run are not disturbed. Not a suspension point;
        any thread.
        """
        with _state.lock:
            if self._is_open:
                self._is_open = False
                _state.end(self)

    def __enter__(self) -> Sharing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _State:
    """What is shared now, and by whom. One a process; all under its lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.open: set[Sharing] = set()
        self.steered: set[str] = set()
        self.limited: set[str] = set()
        self._controls: list[Any] = []

    def begin(self) -> Sharing:
        """Share all that is loaded by now."""
        runtimes = []
        for library in find_loaded():
            if isinstance(library, OpenBlas):
                if not library.reason:
                    _core._blas_steer(*library.steering)
                    self.steered.add(library.path)
                elif not library.reason.startswith("it was built"):
                    self._limit(library.path)
            elif isinstance(library, OpenMp):
                runtimes.append(library.limiting)
                self.limited.add(library.path)
            else:
                self._limit(library.path)
        _core._openmp_limit(True, tuple(runtimes))
        sharing = Sharing()
        self.open.add(sharing)
        self._publish()
        return sharing

    def _limit(self, path: str) -> None:
        """Give a library one thread, in all of the process."""
        if not path or path in self.limited:
            return
        with contextlib.suppress(ImportError):
            from threadpoolctl import ThreadpoolController

            chosen = ThreadpoolController().select(filepath=path)
            if chosen.lib_controllers:
                self._controls.append(chosen.limit(limits=1))
                self.limited.add(path)

    def end(self, sharing: Sharing) -> None:
        self.open.discard(sharing)
        if self.open:
            return
        _core._blas_release()
        _core._openmp_limit(False, ())
        for control in self._controls:
            control.restore_original_limits()
        self._forget()

    def _forget(self) -> None:
        self._controls.clear()
        self.steered.clear()
        self.limited.clear()
        self._publish()

    def _publish(self) -> None:
        runtime._steered[:] = sorted(Path(path).name for path in self.steered)

    def after_fork(self) -> None:
        """In a child nothing is shared: the runtime has taken its callbacks away."""
        self.lock = threading.RLock()
        for sharing in self.open:
            sharing._is_open = False
        self.open.clear()
        _core._openmp_limit(False, ())
        for control in self._controls:
            control.restore_original_limits()
        self._forget()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _state.after_fork())


def share_pool() -> Sharing:
    """Have linear algebra libraries use idle workers of taskrt instead of own threads.

    What this does depends on the library, see `info`:

    * OpenBLAS, as it comes with NumPy and SciPy, is *steered*: a call uses the thread
      that makes it and the workers that have nothing to do at that moment, on any
      thread, in a task or not. When all are busy it uses one thread.
    * With OpenMP runtimes each worker has one thread: a parallel region in a task runs
      on the worker.
    * Others, such as MKL, are limited to one thread if threadpoolctl is installed.

    It holds for libraries that are loaded by then: import NumPy and SciPy before. A
    further call, while the first is in effect, covers what has been loaded since. Use
    the result in a with statement, or call its ``close``; without either, sharing lasts
    until the process ends. When the last one is closed, everything is as before.

    While it lasts the number of threads of a steered library belongs to taskrt: what
    others set, with threadpoolctl for example, holds until a worker falls asleep or
    wakes. It is never more than the library had before. In a forked child nothing is
    shared. After `shutdown` the libraries are as before, until the next start. While
    the process ends, their calls use one thread.

    Starts the runtime. Not a suspension point; any thread.
    """
    with _state.lock:
        return _state.begin()


def info() -> list[Library]:
    """Return the libraries that compute on threads, as they are now, in order of name.

    Starts nothing and loads nothing. On Linux it finds what is loaded by itself;
    elsewhere by threadpoolctl, if that is installed. Not a suspension point; any
    thread.
    """
    with _state.lock:
        steering = _core._blas_state()["steering"]
        return sorted(
            (_describe(library, steering) for library in find_loaded()),
            key=lambda library: library.name,
        )


def _describe(library: OpenBlas | OpenMp | Other, steering: bool) -> Library:
    name = Path(library.path).name
    limited = library.path in _state.limited
    if isinstance(library, OpenMp):
        reason = "its threads cannot be replaced"
        return Library(name, "OpenMP", "", library.threads(), False, limited, reason)
    if isinstance(library, Other):
        reason = "it has no way to bring threads of one's own"
        if not limited and library.path:
            reason += f"; {_NEEDS_CONTROL}"
        return Library(
            name or library.name, library.name, "", 0, False, limited, reason
        )
    steered = steering and library.path in _state.steered
    reason = library.reason
    if not reason and not steered:
        reason = (
            "the runtime has ended: it will be once that starts again"
            if library.path in _state.steered
            else "share_pool() has not been called since it was loaded"
        )
    return Library(
        name, "OpenBLAS", library.version, library.threads(), steered, limited, reason
    )


def statistics() -> Statistics:
    """Return what has become of parallel calls since the process began.

    gangs        calls whose parts ran at the same time
    worker_jobs  parts that idle workers ran; the caller runs one more of each
    helper_jobs  parts for which there were too few idle workers: a call had been told
                 of more than there were a moment later
    helpers      threads that exist now to run those, parked while there are none

    Not a suspension point; any thread.
    """
    state = _core._blas_state()
    return {
        "gangs": state["gangs"],
        "worker_jobs": state["worker_jobs"],
        "helper_jobs": state["helper_jobs"],
        "helpers": state["helpers"],
    }
