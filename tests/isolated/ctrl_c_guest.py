"""Ctrl-C while main, in a fetch, runs a task that it does not wait for.

The task is not harmed: it goes on to its end when main waits again. It can only end
after main has been interrupted.
"""

import os
import signal

from support.gates import Gate, pinned

from taskrt import fetch

interrupted = []


def guest() -> object:
    for _ in range(3):
        round_begun = len(interrupted)
        os.kill(os.getpid(), signal.SIGINT)
        while len(interrupted) == round_begun:
            pass
    return "unharmed"


gate = Gate()
task = pinned(guest)
for _ in range(3):
    try:
        fetch(gate.task)
    except KeyboardInterrupt:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert task.state in ("suspended", "ready", "running"), task.state
        interrupted.append(True)
    else:
        raise AssertionError("not interrupted")
assert fetch(task) == "unharmed"
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("still the default in main")
gate.close()
