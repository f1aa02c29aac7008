"""Waits for several tasks: any of them, all, in the order in which they end."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from taskrt import _core
from taskrt._core import Task
from taskrt._unique import Unique
from taskrt.errors import Cancelled

__all__ = [
    "as_completed",
    "fetch_all",
    "join",
    "race",
    "wait_all",
    "wait_any",
]

_R = TypeVar("_R")
_R1 = TypeVar("_R1")
_R2 = TypeVar("_R2")
_R3 = TypeVar("_R3")
_R4 = TypeVar("_R4")


def _as_list(tasks: Iterable[Task[_R]]) -> list[Task[_R]]:
    if isinstance(tasks, Task):
        raise TypeError(
            "expected an iterable of taskrt.Task objects, not a single one: put it in "
            "a list, or use fetch() or wait()"
        )
    found = list(tasks)
    for task in found:
        if not isinstance(task, Task):
            raise TypeError(
                f"expected taskrt.Task objects, not {type(task).__name__!r}"
            )
    return found


def _has_failed(task: Task[object]) -> bool:
    return task.state in ("failed", "cancelled")


def _split(tasks: list[Task[_R]]) -> tuple[set[Task[_R]], set[Task[_R]]]:
    done = {task for task in tasks if task.done()}
    return done, set(tasks) - done


def wait_any(
    tasks: Iterable[Task[_R]], timeout: float | None = None
) -> tuple[set[Task[_R]], set[Task[_R]]]:
    """Wait until one of the tasks has ended; return those that have, and the others.

    timeout  seconds, None for no limit, 0 to only look; when time is up the first set
             is empty

    Tasks that have failed or were cancelled have ended; their errors are not raised and
    do not count as observed. The others go on, and nothing of this call stays with
    them. Returns at once for no tasks. Each call looks at all tasks: for one after
    another use `as_completed`. Raises TypeError if one is no task, Cancelled. A
    suspension point and a checkpoint; any thread.

    >>> from taskrt import spawn, wait_any
    >>> done, pending = wait_any([spawn(int), spawn(float)])
    >>> len(done) >= 1
    True
    """
    found = _as_list(tasks)
    _core.checkpoint()
    if found and not any(task.done() for task in found):
        arrivals: _core._Arrivals[_R] = _core._Arrivals(timeout)
        try:
            for task in found:
                arrivals._add(task)
            arrivals._take()
        finally:
            arrivals._close()
    return _split(found)


def wait_all(
    tasks: Iterable[Task[_R]], timeout: float | None = None, fail_fast: bool = True
) -> tuple[set[Task[_R]], set[Task[_R]]]:
    """Wait until all tasks have ended; return those that have, and the others.

    timeout    seconds, None for no limit, 0 to only look
    fail_fast  whether to return as soon as one has failed or was cancelled; the others
               go on

    Errors of tasks are not raised and do not count as observed. Raises TypeError if one
    is no task, Cancelled; DeadlockError, if not fail_fast, as `wait` does. A suspension
    point and a checkpoint; any thread.

    >>> from taskrt import spawn, wait_all
    >>> done, pending = wait_all([spawn(int), spawn(float)])
    >>> len(done), pending
    (2, set())
    """
    found = _as_list(tasks)
    if not fail_fast:
        _core.wait(*found, timeout=timeout)
        return _split(found)
    _core.checkpoint()
    _core._wait_all(found, timeout)
    return _split(found)


def _errors_of(tasks: Iterable[Task[Any]]) -> list[BaseException]:
    """Return the errors of ended tasks, in their order; they count as observed."""
    errors = []
    for task in dict.fromkeys(tasks):
        if _has_failed(task):
            try:
                task.result()
            except Cancelled:  # this one's own: a task's error is never that
                raise
            except BaseException as error:
                errors.append(error)
    return errors


def _note_others(error: BaseException, others: list[BaseException]) -> None:
    if others:
        shown = "; ".join(repr(other) for other in others[:8])
        more = f"; and {len(others) - 8} more" if len(others) > 8 else ""
        error.add_note(f"{len(others)} more failed: {shown}{more}")


def _raise_first(tasks: list[Task[Any]]) -> None:
    """Raise the first error of these tasks, if there is one, with a note on others."""
    if any(map(_has_failed, tasks)):
        errors = _errors_of(tasks)
        _note_others(errors[0], errors[1:])
        try:
            raise errors[0]
        finally:
            del errors  # it refers to this frame


def fetch_all(tasks: Iterable[Task[_R]], fail_fast: bool = True) -> list[_R]:
    """Wait until all tasks have ended and return their values, in the order given.

    fail_fast  True: raise as soon as one has failed or was cancelled, while the others
               go on: of those that have failed by then, the error of the one that comes
               first in `tasks`, itself, with a note on the others. False: wait for all,
               then raise the errors as a group, a single one too

    All errors that are raised or noted count as observed; that of a cancelled task is
    CancelledError. Raises TypeError if one is no task, Cancelled; DeadlockError, if not
    fail_fast, as `fetch` does. A suspension point and a checkpoint; any thread.

    >>> from taskrt import fetch_all, spawn
    >>> fetch_all(spawn(pow, n, 2) for n in range(4))
    [0, 1, 4, 9]
    """
    found = _as_list(tasks)
    wait_all(found, fail_fast=fail_fast)
    if fail_fast:
        _raise_first(found)
    elif errors := _errors_of(found):
        raise BaseExceptionGroup("errors in fetch_all", errors)
    return [task.result() for task in found]


class as_completed(Unique, _core._Arrivals[_R]):  # noqa: N801  (used as a function)
    """Yield tasks as they end: for task in as_completed(tasks):

    timeout  seconds from this call to the end of the iteration, None for no limit

    Lets go of each task as it yields it, and of all when it is dropped. `add` adds one
    while it runs. Raises TypeError if one is no task; while iterating TimeoutError when
    time is up, Cancelled. Each step is a suspension point and a checkpoint; any thread,
    one at a time.

    >>> from taskrt import as_completed, fetch, spawn
    >>> sorted(fetch(task) for task in as_completed([spawn(int), spawn(abs, -1)]))
    [0, 1]
    """

    __module__ = "taskrt"

    def __init__(self, tasks: Iterable[Task[_R]], timeout: float | None = None) -> None:
        super().__init__(timeout)
        for task in _as_list(tasks):
            self._add(task)

    def add(self, task: Task[_R]) -> None:
        """Yield this task too. Not a suspension point."""
        self._add(task)


def _check(who: str, callables: tuple[Callable[[], object], ...]) -> None:
    for fn in callables:
        if not callable(fn):
            raise TypeError(f"{who} takes callables, not {type(fn).__name__!r}")


@overload
def join(first: Callable[[], _R1], /) -> tuple[_R1]: ...
@overload
def join(first: Callable[[], _R1], second: Callable[[], _R2], /) -> tuple[_R1, _R2]: ...
@overload
def join(
    first: Callable[[], _R1], second: Callable[[], _R2], third: Callable[[], _R3], /
) -> tuple[_R1, _R2, _R3]: ...
@overload
def join(
    first: Callable[[], _R1],
    second: Callable[[], _R2],
    third: Callable[[], _R3],
    fourth: Callable[[], _R4],
    /,
) -> tuple[_R1, _R2, _R3, _R4]: ...
@overload
def join(*callables: Callable[[], _R]) -> tuple[_R, ...]: ...
def join(*callables: Callable[[], object]) -> tuple[object, ...]:
    """Call all of these in parallel and return what they return.

    The first runs here, as a call, the others in tasks; those that nobody has started
    by then run here too. All are waited for. If some fail, raises the error of the
    first of these in the order given, itself, with a note on the others, which count as
    observed. If the caller is cancelled or interrupted, the tasks are cancelled and
    waited for. Raises TypeError if one is not callable. A suspension point and a
    checkpoint, if there are two or more; any thread. Source: Rayon's join.

    >>> from taskrt import join
    >>> join(int, lambda: "parallel")
    (0, 'parallel')
    """
    _check("join()", callables)
    if not callables:
        return ()
    family = _core._Family()
    tasks: list[Task[object]] = []
    value: object = None
    failure: Exception | None = None
    with family:
        for fn in callables[1:]:
            tasks.append(family._adopt(fn))
        try:
            value = callables[0]()
        except Exception as error:
            failure = error
    if failure is None:
        _raise_first(tasks)
        return (value, *map(_core._value_of, tasks))
    try:
        _note_others(failure, _errors_of(tasks))
        raise failure
    finally:
        failure = None  # it refers to this frame


def race(*callables: Callable[[], _R]) -> _R:
    """Call all of these in tasks; return what the first to succeed returns.

    The others are cancelled then, and waited for; their errors are dropped. If none
    succeeds, raises a group of all errors in the order given. If the caller is
    cancelled or interrupted, so are they. Raises TypeError if one is not callable,
    ValueError if there is none. A suspension point and a checkpoint; any thread.

    >>> from taskrt import race, sleep
    >>> race(lambda: sleep(60), lambda: "won")
    'won'
    """
    _check("race()", callables)
    if not callables:
        raise ValueError("race() takes one callable or more: there is nobody to win")
    family = _core._Family()
    tasks: list[Task[_R]] = []
    winner: Task[_R] | None = None
    with family:
        arrivals: _core._Arrivals[_R] = _core._Arrivals(None)
        try:
            for fn in callables:
                tasks.append(family._adopt(fn))
                arrivals._add(tasks[-1])
            for ended in arrivals:
                if not _has_failed(ended):
                    winner = ended
                    family._scope.cancel("another one has won")
                    break
        finally:
            arrivals._close()
    if winner is None:
        raise BaseExceptionGroup("nobody has won the race", _errors_of(tasks))
    for task in tasks:
        task.defuse()
    return winner.result()
