"""Task parallelism for Python: spawn and fetch, anywhere, on every core.

tasks     spawn, fetch, wait; fetch_all, wait_any, as_completed of many
ends      TaskGroup, CancelScope, fail_after, move_on_after, limit, isolated
between   Channel, Queue, select, Event, Lock and their like
outside   sleep, wait_readable, run_blocking, Timer
loops     taskrt.parallel
bridges   taskrt.interop: executors, pools, joblib, Dask, asyncio, BLAS
C         taskrt.native

>>> from taskrt import spawn, fetch
>>> fetch(spawn(sum, [1, 2, 3]))
6
"""

from taskrt.runtime import __version__ as __version__  # isort: skip  (first: greenlet)
from taskrt.blocking_calls import blocking, run_blocking
from taskrt.channels import Channel, Queue, select, sleep_op
from taskrt.errors import (
    Cancelled,
    CancelledError,
    ChannelClosed,
    DeadlockError,
    ShutDown,
    TaskLostError,
)
from taskrt.groups import TaskGroup
from taskrt.locals import OncePerTask, TaskLocal
from taskrt.randoms import RandomStreams, numpy_random, random, seed_random
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
    Guarded,
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
    CancelScope,
    Spawner,
    Task,
    cancel_requested,
    checkpoint,
    current_task,
    fetch,
    isolated,
    limit,
    notify_closing,
    sleep,
    spawn,
    wait,
    wait_readable,
    wait_writable,
    yield_now,
)
from taskrt.timeouts import fail_after, move_on_after
from taskrt.timers import Timer, spawn_after, spawn_later
from taskrt.tokens import CancelSource, CancelToken
from taskrt.waits import as_completed, fetch_all, join, race, wait_all, wait_any

__all__ = [
    "INHERIT",
    "AtomicInt",
    "Barrier",
    "BoundedSemaphore",
    "CancelScope",
    "CancelSource",
    "CancelToken",
    "Cancelled",
    "CancelledError",
    "Channel",
    "ChannelClosed",
    "Condition",
    "DeadlockError",
    "Event",
    "Guarded",
    "Latch",
    "Lock",
    "Once",
    "OncePerTask",
    "Queue",
    "RLock",
    "RandomStreams",
    "Semaphore",
    "ShutDown",
    "Spawner",
    "Task",
    "TaskGroup",
    "TaskLocal",
    "TaskLostError",
    "Timer",
    "Waiter",
    "as_completed",
    "available_cpus",
    "blocking",
    "cancel_requested",
    "checkpoint",
    "current_task",
    "fail_after",
    "fetch",
    "fetch_all",
    "get_include",
    "info",
    "isolated",
    "join",
    "limit",
    "move_on_after",
    "notify_closing",
    "num_threads",
    "numpy_random",
    "once",
    "race",
    "random",
    "run_blocking",
    "seed_random",
    "select",
    "set_num_threads",
    "shutdown",
    "sleep",
    "sleep_op",
    "spawn",
    "spawn_after",
    "spawn_later",
    "stats",
    "thread_id",
    "wait",
    "wait_all",
    "wait_any",
    "wait_readable",
    "wait_writable",
    "yield_now",
]
