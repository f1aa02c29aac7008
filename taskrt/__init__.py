"""Task parallelism for Python: spawn and fetch, anywhere, on every core.

>>> from taskrt import spawn, fetch
>>> fetch(spawn(sum, [1, 2, 3]))
6
"""

from taskrt.runtime import __version__ as __version__  # isort: skip  (first: greenlet)
from taskrt.errors import Cancelled, CancelledError, DeadlockError, TaskLostError
from taskrt.runtime import (
    available_cpus,
    get_include,
    info,
    num_threads,
    set_num_threads,
    shutdown,
    stats,
    thread_id,
)
from taskrt.sync import (
    AtomicInt,
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Latch,
    Lock,
    Once,
    RLock,
    Semaphore,
    Waiter,
    once,
)
from taskrt.tasks import (
    INHERIT,
    Spawner,
    Task,
    cancel_requested,
    checkpoint,
    current_task,
    fetch,
    spawn,
    wait,
    yield_now,
)

__all__ = [
    "INHERIT",
    "AtomicInt",
    "Barrier",
    "BoundedSemaphore",
    "Cancelled",
    "CancelledError",
    "Condition",
    "DeadlockError",
    "Event",
    "Latch",
    "Lock",
    "Once",
    "RLock",
    "Semaphore",
    "Spawner",
    "Task",
    "TaskLostError",
    "Waiter",
    "available_cpus",
    "cancel_requested",
    "checkpoint",
    "current_task",
    "fetch",
    "get_include",
    "info",
    "num_threads",
    "once",
    "set_num_threads",
    "shutdown",
    "spawn",
    "stats",
    "thread_id",
    "wait",
    "yield_now",
]
