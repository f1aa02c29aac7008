"""multiprocessing with the fork method: from main and from inside tasks."""

import multiprocessing
import warnings
from multiprocessing.connection import Connection

from taskrt import fetch, spawn, wait

# Python warns of every fork in a process with threads, which is what is tried here.
warnings.filterwarnings("ignore", category=DeprecationWarning)
fork = multiprocessing.get_context("fork")


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def child(connection: Connection) -> None:
    connection.send(fib(10))
    connection.close()


def use_process() -> tuple[int, int | None]:
    ours, theirs = fork.Pipe()
    process = fork.Process(target=child, args=(theirs,))
    process.start()
    got = ours.recv()
    process.join()
    return got, process.exitcode


def use_pool() -> list[int]:
    with fork.Pool(2) as pool:
        return pool.map(fib, range(10))


if __name__ == "__main__":
    expected = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    busy = [spawn(fib, 12) for _ in range(10)]
    assert use_process() == (55, 0)
    assert fetch(spawn(use_process)) == (55, 0)
    assert use_pool() == expected
    assert fetch(spawn(use_pool)) == expected
    assert [fetch(t) for t in [spawn(use_process) for _ in range(4)]] == [(55, 0)] * 4
    assert wait(*busy)
    print("all is well")
