"""Forks in a function that native code calls, and beside native code that runs.

argv[1]: the library of tasks.
"""

import array
import ctypes
import os
import sys

from taskrt import fetch, move_on_after, native, spawn

lib = ctypes.CDLL(sys.argv[1])


def fib(n: int) -> int:
    data = array.array("q", [n, 0])
    fetch(native.spawn(lib.fib, data))
    return data[1]


def ends_in_time() -> bool:
    with move_on_after(0.005) as scope:
        native.run(lib.until_cancelled, array.array("q", [0]))
    return scope.cancelled_caught


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        assert fib(10) == 55
        assert ends_in_time()
        os.write(1, b"child is well\n")  # and ends as it returns
    else:
        assert os.waitpid(pid, 0)[1] == 0


def work() -> None:
    native.run(lib.calls, array.array("q", [2, id(fork)]))


assert ends_in_time()
busy = [spawn(fib, 22) for _ in range(20)]
pid = os.fork()
if pid == 0:
    assert fib(12) == 144
    os.write(1, b"child is well\n")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert [fetch(task) for task in busy] == [17711] * 20
fetch(spawn(work))
work()
assert ends_in_time()
os.write(1, b"parent is well\n")
