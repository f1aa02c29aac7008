"""Tasks: making them, waiting for them, and what code inside one may ask."""

from taskrt import _core
from taskrt._inherit import INHERIT

__all__ = [
    "INHERIT",
    "CancelScope",
    "Spawner",
    "Task",
    "cancel_requested",
    "checkpoint",
    "current_task",
    "fetch",
    "isolated",
    "limit",
    "notify_closing",
    "sleep",
    "spawn",
    "wait",
    "wait_readable",
    "wait_writable",
    "yield_now",
]

CancelScope = _core.CancelScope
Spawner = _core.Spawner
Task = _core.Task
cancel_requested = _core.cancel_requested
checkpoint = _core.checkpoint
current_task = _core.current_task
fetch = _core.fetch
isolated = _core.isolated
limit = _core.limit
notify_closing = _core.notify_closing
sleep = _core.sleep
spawn = _core.spawn
wait = _core.wait
wait_readable = _core.wait_readable
wait_writable = _core.wait_writable
yield_now = _core.yield_now
