"""What shutdown() does to tasks in every state; argv[1] says how it is called."""

import os
import sys
import threading

from support.gates import Gate, pinned, until, until_suspended

import taskrt
from taskrt import CancelledError, fetch, spawn, wait

how = sys.argv[1]


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def outcome(task: taskrt.Task[object]) -> object:
    try:
        return task.result(0)
    except (CancelledError, TimeoutError) as error:
        return type(error).__name__


gate = Gate("gate")
done = spawn(lambda: "done")
wait(done)
suspended = spawn(fetch, gate.task)
until_suspended(suspended)
pending = pinned(lambda: "ran")
nested = pinned(fib, 10)

if how == "drain":
    threading.Thread(target=gate.open).start()
    assert taskrt.shutdown() is True
    # The gate's thread is not the pool's: it may come too late for who waits for it.
    assert outcome(suspended) in ("gate", "CancelledError")
    expected: list[object] | None = ["done", outcome(suspended), "ran", 55]
elif how == "cancel":
    assert taskrt.shutdown(cancel=True) is True
    expected = ["done", "CancelledError", "CancelledError", "CancelledError"]
elif how == "no wait":
    assert taskrt.shutdown(wait=False) is False
    try:
        spawn(int)
    except RuntimeError:
        pass
    else:
        raise AssertionError("spawned during shutdown")
    assert taskrt.shutdown() is True
    expected = ["done", "CancelledError", "ran", 55]
elif how == "timeout":
    endless = threading.Event()
    endless_task = pinned(lambda: until(endless.is_set))
    ended = taskrt.shutdown(timeout=0.05)
    assert not ended or endless_task.cancelled()
    endless.set()
    assert wait(endless_task)
    expected = None
else:
    raise SystemExit(f"unknown: {how}")

if expected is not None:
    assert [outcome(t) for t in (done, suspended, pending, nested)] == expected
    # It starts again at the next use, as if for the first time.
    gate.close()
    assert fetch(spawn(fib, 10)) == 55
    assert taskrt.shutdown() is True
    while len(os.listdir("/proc/self/task")) > 1:
        pass  # an ended thread is listed until the system has cleared it away
gate.close()
print("shut down")
