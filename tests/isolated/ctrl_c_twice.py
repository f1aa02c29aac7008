"""After one Ctrl-C the runtime is as good as new, and so after a hundred."""

import os
import signal

from support.gates import Gate, until_suspended

from taskrt import Task, fetch, spawn


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def interrupt(task: Task[object]) -> object:
    os.kill(os.getpid(), signal.SIGINT)
    return fetch(task)


for _ in range(100):
    with Gate("value") as gate:
        senders = []
        try:
            waiter = spawn(fetch, gate.task)
            until_suspended(waiter)
            senders.append(spawn(interrupt, gate.task))
            fetch(senders[0])
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("not interrupted")
        gate.open()
        assert fetch(waiter) == "value"
        for sender in senders:
            # Run by main as a call, the interrupt was in the middle of it.
            assert type(sender.exception()) in (type(None), KeyboardInterrupt)
    assert fib(5) == 5
print("as good as new")
