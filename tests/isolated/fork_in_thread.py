"""A plain thread forks, in the middle of a task that it runs and outside of any."""

import os
import threading

from support.gates import join

from taskrt import fetch, spawn


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def fork() -> int:
    pid = os.fork()
    if pid == 0:
        assert fib(10) == 55
        os.write(1, b"child is well\n")
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def run() -> None:
    assert fib(10) == 55
    statuses.append(fork())
    statuses.append(fetch(spawn(fork)))


statuses: list[int] = []
busy = spawn(fib, 16)
thread = threading.Thread(target=run)
thread.start()
assert fetch(busy) == 987
join(thread)
assert statuses == [0, 0]
assert fib(10) == 55
os.write(1, b"parent is well\n")
