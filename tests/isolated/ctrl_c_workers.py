"""Ctrl-C reaches main alone: tasks on workers never see it."""

import os
import signal
import threading

from support.gates import Gate

from taskrt import fetch, num_threads, set_num_threads, spawn

if num_threads() < 2:
    set_num_threads(2)


def work():
    """Send the signal from a worker and stay busy there until main has got it."""
    natives.append(threading.get_native_id())
    os.kill(os.getpid(), signal.SIGINT)
    while not got.is_set():
        pass
    return "unharmed"


natives = []
got = threading.Event()
gate = Gate()
task = spawn(work)
try:
    while task.state == "pending":
        pass
    fetch(gate.task)
except KeyboardInterrupt:
    got.set()
assert fetch(task) == "unharmed"
assert natives != [threading.get_native_id()]
gate.close()
print("unharmed")
