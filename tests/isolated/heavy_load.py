"""A heavy load on every core leaves the GIL as it was and the collector on."""

import gc
import sys
import threading

from support.gates import Gate, join, until_suspended

import taskrt
from taskrt import fetch, spawn


def gil() -> bool:
    return getattr(sys, "_is_gil_enabled", lambda: True)()


assert gc.isenabled()
had_gil = gil()


def fib(n: int) -> int:
    junk: list[object] = [[] for _ in range(20)]
    junk.append(junk)
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def hold(task: taskrt.Task[object]) -> object:
    cycle: list[object] = [fib(4)]
    cycle.append(cycle)
    fetch(task)
    return cycle[0]


for _ in range(5):
    with Gate() as gate:
        tasks = [spawn(hold, gate.task) for _ in range(300)]
        threads = [threading.Thread(target=fib, args=(8,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert fib(14) == 377
        until_suspended(*tasks)
        gate.open()
        assert [fetch(t) for t in tasks] == [3] * 300
        join(*threads)
    gc.collect()
    assert gc.isenabled()
    assert gil() is had_gil

print("gil", had_gil, "threads", taskrt.num_threads())
