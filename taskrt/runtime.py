"""The one runtime of the process: its size, its numbers, its end."""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import ClassVar, NoReturn, TypedDict

from taskrt._config import available_cpus, read_settings
from taskrt._greenlet import check_greenlet, quiet_greenlet

check_greenlet()
from taskrt import _core  # noqa: E402  (greenlet is checked first)
from taskrt._imports import own_by_stack  # noqa: E402  (likewise)

__all__ = [
    "available_cpus",
    "get_include",
    "info",
    "num_threads",
    "set_num_threads",
    "shutdown",
    "stats",
    "thread_id",
]

__version__ = _core.__version__
num_threads = _core.num_threads
set_num_threads = _core.set_num_threads
thread_id = _core.thread_id

# The process exits. Python 3.12 starts no thread any more then, while tasks still run.
_exiting = False

# Called before the runtime ends: by what starts tasks by itself.
_before_end: list[Callable[[], None]] = []
# Called after that, with whether the process exits: by what has threads of its own.
# Each returns whether those have nothing left to do.
_after_end: list[Callable[[bool], bool]] = []
# Libraries whose parallel work runs on the pool, by the names of their files.
_steered: list[str] = []
# Threads that taskrt has started in Python, as far as nothing can come from them.
_idle_threads: list[Callable[[], list[int]]] = []


class Counters(TypedDict):
    """What happened so far, in tasks and events."""

    spawned: int
    inlined: int
    stolen: int
    ran: int
    parked: int
    wakes: int
    spurious_wakes: int
    sleeps: int


class Stats(TypedDict):
    """The result of `stats`."""

    total: Counters
    workers: dict[int, Counters]
    foreign: Counters
    live: int
    blocking: int


class Info(TypedDict):
    """The result of `info`."""

    version: str
    python: str
    gil: bool
    greenlet: str
    started: bool
    num_threads: int
    num_interactive_threads: int
    pool_threads: int
    interactive_threads: int
    foreign_threads: int
    available_cpus: int
    asymmetric_barrier: bool
    blas: list[str]
    environment: dict[str, str]


def stats() -> Stats:
    """Return counters since the start of the process, each a moment old.

    ``total``, ``foreign`` (all threads that are not taskrt's) and ``workers`` (by
    thread id) hold: tasks spawned; inlined, run as a call by the one that fetched;
    stolen, taken from another thread's queue; ran, ended after they had started; waits
    parked; sleeping threads woken by this one; sleeps; spurious_wakes, sleeps that
    ended with nothing to do. ``live`` is how many tasks have not ended, ``blocking``
    how many calls of `run_blocking`. Not a suspension point; any thread.
    """
    return _core._stats()


def info() -> Info:
    """Return what the runtime is and what it has found on this machine.

    Starts nothing. Raises ValueError if an environment variable of taskrt is wrong.
    """
    from importlib.metadata import version

    state = _core._state()
    is_gil_enabled = getattr(sys, "_is_gil_enabled", None)
    return {
        "version": __version__,
        "python": sys.version.split()[0],
        "gil": True if is_gil_enabled is None else is_gil_enabled(),
        "greenlet": version("greenlet"),
        "started": state["started"],
        "num_threads": num_threads(),
        "num_interactive_threads": num_threads("interactive"),
        "pool_threads": state["pool_threads"],
        "interactive_threads": state["interactive_threads"],
        "foreign_threads": sum(
            thread is not threading.main_thread()
            and not isinstance(thread, HelperThread)
            for thread in threading.enumerate()
        ),
        "available_cpus": available_cpus(),
        "asymmetric_barrier": state["membarrier"],
        "blas": list(_steered),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith("TASKRT_")
        },
    }


def shutdown(
    wait: bool = True, cancel: bool = False, timeout: float | None = None
) -> bool:
    """End the runtime's threads; return whether everything had ended.

    wait     run what is spawned to its end first; what then waits for somebody who
             never comes is cancelled. False: return at once and leave tasks running;
             no new ones are accepted, and a later call or the process's exit waits.
    cancel   cancel everything that has not ended instead of running it
    timeout  seconds to give the tasks, None for no limit

    Timers that are pending, and what `spawn_later` has not started, are cancelled. The
    next spawn after a complete shutdown starts the runtime anew. Calls of
    `run_blocking` that run are waited for like tasks, but cannot be cancelled: then
    False is returned, and the process's exit waits for them. Raises
    RuntimeError on another thread than main or inside a task. A suspension point.
    """
    if threading.current_thread() is threading.main_thread():
        _stop_starting()
    ended = _core._shutdown(wait, cancel, timeout)
    if ended and (wait or cancel):
        ended = _stop_serving()
    return ended


def _stop_starting() -> None:
    if _core.current_task() is None:
        for stop in _before_end:
            stop()


def _stop_serving(for_good: bool = False) -> bool:
    """Return whether all that serves tasks has ended, or nothing was to end yet."""
    ended = True
    if _core.current_task() is None:
        for stop in _after_end:
            ended = stop(for_good) and ended
    return ended


def _at_exit(late: bool) -> None:
    global _exiting  # an Event would keep its lock if Ctrl-C ended its set()
    _exiting = True
    _stop_starting()
    try:
        _core._at_exit(late)
    finally:
        _stop_serving(for_good=True)


def get_include() -> str:
    """Return the directory of ``taskrt.h``, for a C compiler's include path."""
    return os.path.join(os.path.dirname(__file__), "include")


def _install_hooks() -> None:
    """Connect the runtime to the interpreter; called once, when it first starts."""
    quiet_greenlet()
    # Before the interpreter joins threads; private, so with something to fall back on.
    register = getattr(threading, "_register_atexit", None)
    drains_early = register is not None
    if register is not None:
        try:
            register(_at_exit, False)
        except RuntimeError:  # the interpreter is shutting down already
            drains_early = False
    # For what exit functions have spawned, and if the early drain was interrupted.
    atexit.register(_at_exit, drains_early)
    gc.callbacks.append(_core._on_collection)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_core._after_fork)


def check_unpatched(who: str, *modules: str) -> None:
    """Raise RuntimeError if gevent has replaced modules that would hang then.

    A thread that it starts is a greenlet of its own, which runs when its loop does.
    """
    monkey = sys.modules.get("gevent.monkey")
    patched = [name for name in modules if monkey and monkey.is_module_patched(name)]
    if patched:
        raise RuntimeError(
            f"{who} needs threads and loops of Python, and gevent has replaced "
            f"{' and '.join(patched)}: call patch_all(thread=False, select=False)"
        )


class HelperThread(threading.Thread):
    """A thread of taskrt's own that makes calls, and brings nothing while it has none.

    The system and the interpreter list a thread for a moment longer than `threading`
    does: its numbers are kept that long, so that it is not taken for a stranger's.
    """

    BURIAL_S = 1.0
    # When those ended, by the system's numbers and Python's.
    _ended: ClassVar[dict[tuple[int, int], float]] = {}

    @classmethod
    def note_end(cls) -> None:
        """Say that the calling thread is about to end."""
        now = time.monotonic()
        for numbers, when in list(cls._ended.items()):
            if now - when > cls.BURIAL_S:
                cls._ended.pop(numbers, None)
        cls._ended[threading.get_native_id(), threading.get_ident()] = now

    @classmethod
    def note_stay(cls) -> None:
        """Say that it is not, after all."""
        cls._ended.pop((threading.get_native_id(), threading.get_ident()), None)

    @classmethod
    def numbers(cls) -> tuple[set[int | None], set[int | None]]:
        """Return the system's and Python's numbers of those that may be listed now."""
        now = time.monotonic()
        ended = list(cls._ended.items())
        numbers: list[tuple[int | None, int | None]] = [
            *(pair for pair, when in ended if now - when <= cls.BURIAL_S),
            *(
                (t.native_id, t.ident)
                for t in threading.enumerate()
                if isinstance(t, cls)
            ),
        ]
        return {native for native, _ in numbers}, {ident for _, ident in numbers}


def start_thread(
    thread: threading.Thread, started: threading.Event | None = None
) -> None:
    """Start a thread, and wait until it runs, or until it has set `started`.

    What a signal handler raises meanwhile is raised as it is: `Condition.wait` hides
    it, if it comes while that takes its lock again, behind "release unlocked lock".
    Raises RuntimeError if the thread cannot be started. Not a suspension point.
    """
    handled = sys.exception()
    try:
        thread.start()
        if started is not None:
            started.wait()
        return
    except RuntimeError as error:
        hidden = error.__context__
        if hidden is None or hidden is handled:
            raise
    try:
        raise hidden
    finally:
        del hidden, handled  # whose tracebacks lead here


# The same for the threads of the pool, by name.
_note_end, _note_stay = HelperThread.note_end, HelperThread.note_stay

# Those that a fault of the program raises, which faulthandler has handlers for.
_FATAL = {
    getattr(signal, name)
    for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")
    if hasattr(signal, name)
}


def _something_may_come(
    pool: list[int], debug: bool, own_handler: object, handler: object
) -> bool:
    """Tell whether something else than tasks may end a wait of main.

    Called on main when all else sleeps for good and no call of run_blocking is left.
    `pool`: the threads that the runtime has started by itself, by Python's numbers.
    `own_handler`: the runtime's for Ctrl-C; where that is, it stands for `handler`.
    Signal handlers may, and other threads: with TASKRT_DEBUG those that Python knows
    of, otherwise all of the process.
    """
    ours = {threading.main_thread().ident, *pool}
    for idle in _idle_threads:
        ours.update(idle())
    native_helpers, helpers = HelperThread.numbers()
    if not (ours | helpers).issuperset(sys._current_frames()):
        return True
    if any(
        t.ident not in ours and t.ident not in helpers for t in threading.enumerate()
    ):
        return True  # one that is just starting
    handlers = map(signal.getsignal, signal.valid_signals() - _FATAL)
    known = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
    if any((handler if h is own_handler else h) not in known for h in handlers):
        return True
    if debug:
        return False
    tasks = "/proc/self/task"
    if not os.path.isdir(tasks):
        return True
    listed = set(map(int, os.listdir(tasks)))
    return len(listed - native_helpers) > len(ours)


def _end_child(error: BaseException | None) -> NoReturn:
    """End a forked child whose task has returned or raised, as a thread's would end."""
    status = 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            status = error.code or 0
        else:
            print(error.code, file=sys.stderr)
            status = 1
    elif error is not None:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status & 0xFF)


_ = read_settings, own_by_stack  # the compiled module calls them by name
