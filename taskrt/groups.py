"""Groups: tasks that end before the block of code that has spawned them."""

from collections.abc import Callable
from operator import index
from typing import Literal, Never, ParamSpec, TypeVar

from taskrt import _core
from taskrt._core import Semaphore, Task
from taskrt.errors import Cancelled

__all__ = ["TaskGroup"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Errors that are meant for the whole program: they leave a group as they are.
_BARE = (KeyboardInterrupt, SystemExit, GeneratorExit)


class TaskGroup(_core._Family):
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
    __slots__ = ("__weakref__",)

    def __init__(
        self,
        *by_position: Never,
        on_error: Literal["cancel", "wait"] = "cancel",
        limit: int | None = None,
    ) -> None:
        if by_position:
            raise TypeError(
                "a TaskGroup takes its options by name: limit=3 for three tasks at once"
            )
        if on_error not in ("cancel", "wait"):
            raise ValueError(f"on_error must be 'cancel' or 'wait', not {on_error!r}")
        if limit is not None:
            if isinstance(limit, bool) or not hasattr(limit, "__index__"):
                raise TypeError(
                    f"limit must be an int or None, not {type(limit).__name__!r}"
                )
            if index(limit) < 1:
                raise ValueError(f"limit must be 1 or more, or None, not {limit}")
            self._limit_by(Semaphore(index(limit)))
        if on_error == "cancel":
            _core._cancel_on_failure(self._scope)

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
        return self._adopt(fn, *args, **kwargs)

    def cancel(self, reason: object = None) -> None:
        """Ask all tasks and the block to end; tasks that have not started never run.

        The block then ends without an error, unless something fails. The first reason
        is the argument of Cancelled. Any thread, any time, again. Not a suspension
        point.
        """
        self._scope.cancel(reason)

    @property
    def results(self) -> list[object]:
        """What the tasks have returned, in spawn order; None for one that has not.

        For tasks that were cancelled or have failed, that is. Raises RuntimeError
        before the block has ended.
        """
        if not self._closed:
            raise RuntimeError("a group has results once its block has ended")
        return self._results()

    def _outcome(self, failure: BaseException | None) -> BaseException | None:
        """Return what the block is left with. The end of the block calls this.

        failure  what the block has raised, or what has cut the wait for tasks short
        """
        if isinstance(failure, _BARE):
            return failure
        errors = self._errors()
        if not errors and (failure is None or isinstance(failure, Cancelled)):
            return failure
        members = errors if failure is None else [failure, *errors]
        return BaseExceptionGroup("errors in a TaskGroup", members)
