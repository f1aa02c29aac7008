"""The exit runs native tasks that nobody has fetched. argv[1]: the library of tasks."""

import array
import ctypes
import os
import sys

from taskrt import Task, native

lib = ctypes.CDLL(sys.argv[1])


def spawn_one() -> None:
    data = array.array("q", [15, 0])
    task = native.spawn(lib.fib, data)

    def tell(_task: Task[None]) -> None:
        os.write(1, b"%d\n" % data[1])

    task.add_done_callback(tell)


for _ in range(50):
    spawn_one()
