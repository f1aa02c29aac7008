"""What the `statistics` methods of the primitives return.

Of one moment during the call, for people and for tests: by the time one reads it, it is
the past. `tasks_waiting` counts tasks and threads that wait, in whatever way; one that
waits in a `select` counts once for each of its operations.
"""

from dataclasses import dataclass

__all__ = [
    "BarrierStatistics",
    "ChannelStatistics",
    "ConditionStatistics",
    "EventStatistics",
    "LatchStatistics",
    "LockStatistics",
    "QueueStatistics",
    "SemaphoreStatistics",
    "WaiterStatistics",
]


@dataclass(frozen=True, slots=True)
class LockStatistics:
    """Of a `Lock` or an `RLock`.

    locked         whether somebody has it
    owner          who: "Task-5" for the task with the id 5, whatever its name, or
                   "thread-" and the ident of a thread outside of tasks; None if nobody
    tasks_waiting  how many wait for it
    """

    locked: bool
    owner: str | None
    tasks_waiting: int


@dataclass(frozen=True, slots=True)
class ConditionStatistics:
    """Of a `Condition`.

    tasks_waiting  how many wait to be notified
    lock           the statistics of its lock; None if that is of another library
    """

    tasks_waiting: int
    lock: LockStatistics | None


@dataclass(frozen=True, slots=True)
class SemaphoreStatistics:
    """Of a `Semaphore` or a `BoundedSemaphore`.

    value          permits that are free
    bound          permits at most; None for no bound
    tasks_waiting  how many wait for one
    """

    value: int
    bound: int | None
    tasks_waiting: int


@dataclass(frozen=True, slots=True)
class EventStatistics:
    """Of an `Event`.

    is_set         whether it is set
    tasks_waiting  how many wait for that
    """

    is_set: bool
    tasks_waiting: int


@dataclass(frozen=True, slots=True)
class WaiterStatistics:
    """Of a `Waiter`.

    has_token      whether the next park() returns at once
    tasks_waiting  1 if somebody parks, or 0
    """

    has_token: bool
    tasks_waiting: int


@dataclass(frozen=True, slots=True)
class BarrierStatistics:
    """Of a `Barrier`.

    parties        how many pass together
    broken         whether it is broken
    tasks_waiting  how many have come and wait for the others
    """

    parties: int
    broken: bool
    tasks_waiting: int


@dataclass(frozen=True, slots=True)
class LatchStatistics:
    """Of a `Latch`.

    count          what is left
    tasks_waiting  how many wait for zero
    """

    count: int
    tasks_waiting: int


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Of a `Channel`.

    maxsize            how many items it holds at most; math.inf for no limit
    qsize              how many it holds
    closed             whether it was closed
    tasks_waiting_put  how many wait to put one
    tasks_waiting_get  how many wait for one
    """

    maxsize: int | float
    qsize: int
    closed: bool
    tasks_waiting_put: int
    tasks_waiting_get: int


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """Of a `Queue`.

    maxsize            as given
    qsize              how many items it holds
    is_shutdown        whether it was shut down
    unfinished_tasks   items that were put and not reported by task_done()
    tasks_waiting_put  how many wait to put one
    tasks_waiting_get  how many wait for one
    """

    maxsize: int
    qsize: int
    is_shutdown: bool
    unfinished_tasks: int
    tasks_waiting_put: int
    tasks_waiting_get: int
