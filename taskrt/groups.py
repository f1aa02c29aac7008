"""Groups: tasks that end before the block of code that has spawned them."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, ParamSpec, TypeVar

from taskrt import _core
from taskrt._core import CancelScope, Semaphore, Task
from taskrt.errors import Cancelled, TaskLostError

__all__ = ["TaskGroup"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Errors that are meant for the whole program: they leave a group as they are.
_BARE = (KeyboardInterrupt, SystemExit, GeneratorExit)


def wait_out(
    scope: CancelScope,
    wait_for_all: Callable[[], None],
    failure: BaseException | None,
) -> tuple[BaseException | None, bool]:
    """Wait until all tasks of a scope have ended, come what may.

    wait_for_all  waits for them once, and is called again if that was cut short
    failure       what the block has raised, or None. If there is something, or if this
                  wait is cut short, the tasks are cancelled, and waited for all the
                  same, until a second interrupt

    Return what the block is to be left with, without the tasks' own errors, and whether
    the scope is to see it: it was cancelled by somebody else than this. A suspension
    point, and a checkpoint if nothing has failed.
    """
    if failure is None:
        try:
            wait_for_all()
            # Of a request that has ended a task that ran here, as a call, the wait has
            # heard nothing.
            _core.checkpoint()
            return None, False
        except TaskLostError:  # in a forked child, where there are no tasks
            return None, False
        except BaseException as error:
            failure = error
    is_request = isinstance(failure, Cancelled)
    takes = scope.cancel_called
    scope.cancel(failure.args[0] if is_request and failure.args else None)
    interrupted = not is_request and not isinstance(failure, Exception)
    while True:
        try:
            with CancelScope(shield=True):
                wait_for_all()
            return failure, takes
        except (Cancelled, TaskLostError):  # the process ends, or has forked
            return failure, takes
        except BaseException as error:
            failure = error
            if interrupted:
                return failure, takes
            interrupted = True


class Family:
    """The children of one scope: what a group and `race` have in common.

    Whoever enters the scope calls `wait_for_children` before leaving it.
    """

    def __init__(self) -> None:
        self.scope = CancelScope()
        # All by number, from 0 in spawn order.
        self._children: dict[int, Task[object]] = {}  # which may have ended
        self._failed: dict[int, Task[object]] = {}
        self._values: dict[int, object] = {}  # results other than None
        self._spawned = 0
        self._sweep_at = 64
        self._takes = False
        self.closed = False
        # Never held over a suspension; re-entrant for what a collection runs meanwhile.
        self._lock = threading.RLock()

    def adopt(
        self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Task[_R]:
        """Spawn a child."""
        with self._lock:
            if self.closed:
                raise RuntimeError(
                    "cannot spawn into a group whose block has ended: all its tasks "
                    "have; spawn before the end of the with statement, or from a task "
                    "of the group"
                )
            task = _core._spawn_in(self.scope, fn, *args, **kwargs)
            if len(self._children) >= self._sweep_at:
                self._sweep()
            self._children[self._spawned] = task
            self._spawned += 1
        return task

    def _sweep(self) -> None:
        """Sort out children that have ended: all that is left of them is their outcome.

        So a group that lives long holds what lives, and results that are not None.
        """
        for number, task in list(self._children.items()):
            if not task.done():
                continue
            if _core._error_of(task) is not None:
                self._failed[number] = task
            elif (value := _core._value_of(task)) is not None:
                self._values[number] = value
            del self._children[number]
        self._sweep_at = max(64, 2 * len(self._children))

    def results(self) -> list[object]:
        """Return the children's results in spawn order; None of those without one."""
        with self._lock:
            self._sweep()
            return [self._values.get(number) for number in range(self._spawned)]

    def errors(self) -> list[BaseException]:
        """Return the errors of children that failed, in spawn order: now observed."""
        with self._lock:
            self._sweep()
            tasks = [task for _, task in sorted(self._failed.items())]
        for task in tasks:
            task.defuse()
        return [error for task in tasks if (error := _core._error_of(task)) is not None]

    def _wait_for_all(self) -> None:
        """Wait for who is there, then for who was spawned meanwhile, then close."""
        while True:
            with self._lock:
                self._sweep()
                self.closed = not self._children
                tasks = list(self._children.values())
            if not tasks:
                return
            _core.wait(*tasks)

    def wait_for_children(self, failure: BaseException | None) -> BaseException | None:
        """Wait until all children have ended, those spawned meanwhile too.

        failure  what the block has raised, or None. If there is something, or if this
                 wait is cut short, the children are cancelled, and waited for all the
                 same. A second interrupt ends that, and tells who is left.

        Return what the block is to be left with, without the children's own errors. A
        suspension point, and a checkpoint if nothing has failed.
        """
        failure, self._takes = wait_out(self.scope, self._wait_for_all, failure)
        with self._lock:
            self.closed = True
            left = [task.name for task in self._children.values() if not task.done()]
        if left and failure is not None:
            names = ", ".join(left[:8]) + (", ..." if len(left) > 8 else "")
            failure.add_note(f"not waited for any longer: {names}")
        return failure

    def leave(self, error: BaseException | None) -> bool:
        """Leave the scope with an error; return whether that has taken all of it.

        It takes Cancelled only if somebody has asked for it, not if it was cancelled
        because the block had failed. May raise what is left of a group.
        """
        if error is None or not self._takes:
            return self.scope.__exit__(None, None, None)
        return self.scope.__exit__(type(error), error, error.__traceback__)


class TaskGroup:
    """Tasks that end before the block does: with TaskGroup() as group:

    on_error  "cancel": the first task that fails has the others cancelled, and the rest
              of the block; "wait": they go on
    limit     how many of the tasks there may be at once, 1 or more; None: any number

    The end of the block waits for all tasks, those that tasks of the group have spawned
    into it too. Errors leave it as an ExceptionGroup, even a single one: the block's
    own first, then those of tasks in the order of their spawns. An error of the block
    has the tasks cancelled, whatever on_error says, since they may wait for something
    from it; so has a cancellation of what is around, which then goes on outwards. That
    tasks were cancelled is no error. KeyboardInterrupt, SystemExit and GeneratorExit in
    the block leave it as they are, when the tasks have ended; failures of tasks are
    reported then as those that nobody fetches. Ctrl-C twice ends the wait for tasks: a
    note says which are left.

    Entered once, by a task or by any thread. The end is a suspension point. Raises
    ValueError or TypeError for other arguments. Source: Trio's nurseries, N. J. Smith,
    2018; results and limit: Java's StructuredTaskScope, TBB's task_arena.

    >>> from taskrt import TaskGroup
    >>> with TaskGroup() as group:
    ...     for n in range(4):
    ...         task = group.spawn(pow, n, 2)
    >>> group.results
    [0, 1, 4, 9]
    """

    __module__ = "taskrt"
    __slots__ = ("__weakref__", "_entered", "_family", "_permits")

    def __init__(
        self,
        *,
        on_error: Literal["cancel", "wait"] = "cancel",
        limit: int | None = None,
    ) -> None:
        if on_error not in ("cancel", "wait"):
            raise ValueError(f"on_error must be 'cancel' or 'wait', not {on_error!r}")
        if limit is not None:
            if not isinstance(limit, int) or isinstance(limit, bool):
                raise TypeError(
                    f"limit must be an int or None, not {type(limit).__name__!r}"
                )
            if limit < 1:
                raise ValueError(f"limit must be 1 or more, or None, not {limit}")
        self._family = Family()
        self._permits = None if limit is None else Semaphore(limit)
        self._entered = False
        if on_error == "cancel":
            _core._cancel_on_failure(self._family.scope)

    def spawn(
        self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Task[_R]:
        """Call fn(*args, **kwargs) in a new task of the group; return the Task at once.

        With a limit, waits until there may be one more; a task of the group that does
        so may wait for itself. Raises RuntimeError before the block and after its end,
        and what `taskrt.spawn` raises. Of a group that was cancelled the task never
        runs. Any thread, any task. A suspension point only with a limit.
        """
        if not self._entered:
            raise RuntimeError(
                "cannot spawn into a group outside of its block: enter it first, with "
                "TaskGroup() as group"
            )
        if self._permits is None:
            return self._family.adopt(fn, *args, **kwargs)
        self._permits.acquire()
        try:
            task = self._family.adopt(fn, *args, **kwargs)
        except BaseException:
            self._permits.release()
            raise
        task.add_done_callback(self._end_of_one)
        return task

    def _end_of_one(self, _: Task[_R]) -> None:
        if self._permits is not None:
            self._permits.release()

    def cancel(self, reason: object = None) -> None:
        """Ask all tasks and the block to end; tasks that have not started never run.

        The block then ends without an error, unless something fails. The first reason
        is the argument of Cancelled. Any thread, any time, again. Not a suspension
        point.
        """
        self._family.scope.cancel(reason)

    @property
    def results(self) -> list[object]:
        """What the tasks have returned, in spawn order; None for one that has not.

        For tasks that were cancelled or have failed, that is. Raises RuntimeError
        before the block has ended.
        """
        if not self._family.closed:
            raise RuntimeError("a group has results once its block has ended")
        return self._family.results()

    def __enter__(self) -> "TaskGroup":
        if self._entered:
            raise RuntimeError("a TaskGroup can be entered once: make a new one")
        self._family.scope.__enter__()
        self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        outcome = self._family.wait_for_children(error)
        if not isinstance(outcome, _BARE):
            errors = self._family.errors()
            if errors or (outcome is not None and not isinstance(outcome, Cancelled)):
                members = errors if outcome is None else [outcome, *errors]
                outcome = BaseExceptionGroup("errors in a TaskGroup", members)
        try:
            if self._family.leave(outcome):
                return True
            if outcome is error:
                return False
            assert outcome is not None
            raise outcome from None
        finally:
            del outcome, error  # they refer to this frame
