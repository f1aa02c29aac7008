"""Main ends while tasks are pending: the exit runs them, and what they spawn."""

import os

from taskrt import Spawner, fetch, spawn


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def work(i: int) -> None:
    assert fib(8) == 21
    os.write(1, b"ran %d\n" % i)


spawner = Spawner(pinned=True)
for i in range(0, 100, 2):
    spawn(work, i)
    spawner(work, i + 1)
