"""Ctrl-C reaches main alone: tasks on workers never see it."""

import os
import signal
import threading

from support.gates import Gate

from taskrt import fetch, num_threads, set_num_threads, spawn

if num_threads() < 2:
    set_num_threads(2)


def work() -> object:
    """Send the signal from a worker and stay busy there until main has got it."""
    natives.append(threading.get_native_id())
    while not ready:
        pass
    os.kill(os.getpid(), signal.SIGINT)
    while not got:
        pass
    return "unharmed"


natives: list[int] = []
ready: list[bool] = []
got: list[bool] = []
gate = Gate()
task = spawn(work)
while task.state == "pending":
    pass  # a worker takes it
try:
    ready.append(True)
    fetch(gate.task)
except KeyboardInterrupt:
    got.append(True)
assert fetch(task) == "unharmed"
assert natives != [threading.get_native_id()]
gate.close()
print("unharmed")
