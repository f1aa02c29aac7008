"""Main forks with tasks in every state; both processes go on.

argv[1] says how the child ends: "hard" by os._exit, "soft" by the end of the program.
"""

import os
import sys

from support.gates import Gate, pinned, until_suspended

from taskrt import TaskLostError, current_task, fetch, num_threads, spawn, wait


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def fail() -> None:
    raise ValueError("kept")


gate = Gate("gate")
done = spawn(lambda: "done")
failed = spawn(fail)
wait(done, failed)
suspended = [spawn(fetch, gate.task) for _ in range(5)]
until_suspended(*suspended)
pending = pinned(lambda: "pending")

pid = os.fork()
if pid == 0:
    assert current_task() is None
    assert fetch(done) == "done"
    assert isinstance(failed.exception(), ValueError)
    for lost in (gate.task, pending, *suspended):
        for ask in (fetch, lambda t: t.result(0), lambda t: t.exception(), wait):
            try:
                ask(lost)
            except TaskLostError:
                pass
            else:
                raise AssertionError(lost)
        assert lost.cancel() in (True, False)
        assert repr(lost)
    assert fib(12) == 144
    with Gate("new") as fresh:
        waiter = spawn(fetch, fresh.task)
        until_suspended(waiter)
        fresh.open()
        assert fetch(waiter) == "new"
    assert len(os.listdir("/proc/self/task")) <= num_threads() + 1
    os.write(1, b"child is well\n")
    if sys.argv[1] == "hard":
        os._exit(0)
    sys.exit(0)

assert os.waitpid(pid, 0)[1] == 0
assert isinstance(failed.exception(), ValueError)
assert fetch(pending) == "pending"
gate.open()
assert [fetch(task) for task in suspended] == ["gate"] * 5
assert fib(12) == 144
os.write(1, b"parent is well\n")
