"""However tasks nest and threads come and go, the pool has N threads and no more.

Every thread of the process that is neither main nor one of the program's own is
counted, again and again, from inside tasks.
"""

import os
import threading

from support.gates import join

from taskrt import fetch, num_threads, spawn

own = {threading.get_native_id()}
most = 0


def look() -> None:
    """Count the threads that nobody here has started. A thread that the system has not
    yet buried is still listed, so the program's own are known by number."""
    global most
    before = {int(name) for name in os.listdir("/proc/self/task")}
    most = max(most, len(before - own))


def work(depth: int) -> int:
    if depth == 0:
        look()
        return 1
    tasks = [spawn(work, depth - 1) for _ in range(3)]
    return sum(fetch(task) for task in tasks)


def run() -> None:
    own.add(threading.get_native_id())
    registered.wait()
    for _ in range(3):
        assert work(3) == 27


look()
assert most == 0
for _ in range(2):
    registered = threading.Barrier(50)
    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    mine = spawn(work, 5)
    assert fetch(mine) == 243
    join(*threads)
print(most, "of", num_threads())
