"""A task forks, others beside and beneath it; the child is its own root.

argv[1] says how the child ends: "hard" by os._exit, "return" by returning from the
task's function, "raise" by an exception out of it, "exit" by SystemExit with code 5.
"""

import os
import sys

from support.gates import Gate, here, until_suspended

from taskrt import Task, TaskLostError, current_task, fetch, spawn

EXPECTED = {"hard": 0, "return": 0, "raise": 1, "exit": 5}


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def in_the_child(me: Task[object], outer: Task[object]) -> None:
    assert current_task() is None
    for lost in (me, outer, gate.task, *suspended):
        try:
            fetch(lost)
        except TaskLostError:
            pass
        else:
            raise AssertionError(lost)
    assert fib(12) == 144
    assert fetch(spawn(lambda: here().state)) == "running"
    os.write(1, b"child is well\n")


def forks(outer: Task[object]) -> int:
    me = here()
    pid = os.fork()
    if pid:
        assert current_task() is me
        return os.waitpid(pid, 0)[1]
    in_the_child(me, outer)
    if sys.argv[1] == "hard":
        os._exit(0)
    if sys.argv[1] == "raise":
        raise ValueError("from the child")
    if sys.argv[1] == "exit":
        sys.exit(5)
    return -1  # to nobody: what waits for it is the parent's


def parent() -> int:
    return fetch(spawn(forks, here()))


gate = Gate()
suspended = [spawn(fetch, gate.task) for _ in range(5)]
until_suspended(*suspended)
status = fetch(spawn(parent))
assert os.waitstatus_to_exitcode(status) == EXPECTED[sys.argv[1]], status
gate.open()
assert [fetch(task) for task in suspended] == [None] * 5
assert fib(12) == 144
os.write(1, b"parent is well\n")
