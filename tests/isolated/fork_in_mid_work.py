"""Main forks again and again while every worker is busy; so do tasks."""

import os

from taskrt import fetch, spawn


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def fork() -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            tasks = [spawn(fib, 8) for _ in range(10)]
            code = 0 if [fetch(task) for task in tasks] == [21] * 10 else 2
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


for _ in range(10):
    tasks = [spawn(fib, 10) for _ in range(20)]
    forks = [spawn(fork) for _ in range(2)]
    assert fork() == 0
    assert [fetch(task) for task in forks] == [0, 0]
    assert [fetch(task) for task in tasks] == [55] * 20
print("all is well")
