"""Primitives that tasks and threads wait with: they park the task, not the thread.

Those that are one word and a queue come from the compiled core; the others are made of
them.
"""

from taskrt import _core
from taskrt._barrier import Barrier, Latch
from taskrt._condition import Condition
from taskrt._guarded import Guarded
from taskrt._once import Once, once

__all__ = [
    "AtomicInt",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "Guarded",
    "Latch",
    "Lock",
    "Once",
    "RLock",
    "Semaphore",
    "Waiter",
    "once",
]

AtomicInt = _core.AtomicInt
BoundedSemaphore = _core.BoundedSemaphore
Event = _core.Event
Lock = _core.Lock
RLock = _core.RLock
Semaphore = _core.Semaphore
Waiter = _core.Waiter
