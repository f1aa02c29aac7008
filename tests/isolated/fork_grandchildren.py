"""A child of a child, each with a runtime of its own."""

import os

from support.gates import pinned

from taskrt import TaskLostError, fetch, spawn


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def generation(depth: int) -> None:
    assert fib(8) == 21
    left = pinned(int)
    if depth == 0:
        return
    pid = os.fork()
    if pid == 0:
        try:
            fetch(left)
        except TaskLostError:
            generation(depth - 1)
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert fetch(left) == 0
    assert fib(8) == 21


generation(4)
print("all is well")
