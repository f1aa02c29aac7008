"""Deadlines of native work hold while main shuts down and starts again, and no thread
stays after that. argv[1]: the library of tasks."""

import array
import contextlib
import ctypes
import os
import sys
import threading
import time

from support.gates import join, until

import taskrt
from taskrt import native

lib = ctypes.CDLL(sys.argv[1])
ended = 0
stops = False


def count_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def work() -> None:
    """Run what ends at its deadline, or because of a shutdown.

    It pauses for those who wait for the GIL: who lets go of it for a moment only, again
    and again, can keep them waiting for long.
    """
    global ended
    while not stops:
        with contextlib.suppress(taskrt.CancelledError), taskrt.move_on_after(1e-4):
            native.run(lib.until_cancelled, array.array("q", [0, 0]))
        ended += 1
        time.sleep(1e-4)


thread = threading.Thread(target=work)
thread.start()
for _ in range(100):
    taskrt.fetch(taskrt.spawn(int))
    taskrt.shutdown()
    before = ended
    until(lambda before=before: ended > before + 1)  # by deadlines alone
stops = True
join(thread)

taskrt.fetch(taskrt.spawn(int))
with taskrt.blocking():
    until(lambda: taskrt._core._spares()[0] > 0)
assert count_threads() > 1
assert taskrt.shutdown()
until(lambda: count_threads() == 1)
print("ended")
