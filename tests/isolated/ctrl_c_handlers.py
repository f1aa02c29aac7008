"""Handlers of the program run while main waits: asleep, and while it runs a task."""

import os
import signal
import sys
import threading
from collections.abc import Callable

from support.gates import Gate, pinned, until_suspended

from taskrt import Task, fetch, spawn, stats, wait

number = getattr(signal, sys.argv[1])


def when_main_sleeps(act: Callable[[], object]) -> None:
    before = stats()["workers"][0]["sleeps"]

    def watch() -> None:
        while stats()["workers"][0]["sleeps"] == before:
            pass
        act()

    threading.Thread(target=watch, daemon=True).start()


def interrupt() -> None:
    os.kill(os.getpid(), number)


# A handler that returns: main goes on waiting. Only the handler opens the gate.
asks: list[Callable[[Task[object]], object]] = [fetch, lambda t: fetch(t, 60), wait]
for ask in asks:
    gate = Gate("opened")
    calls: list[int] = []

    def opens(
        signum: int, frame: object, gate: Gate = gate, calls: list[int] = calls
    ) -> None:
        calls.append(signum)
        gate.open()

    signal.signal(number, opens)
    waiter = spawn(fetch, gate.task)
    until_suspended(waiter)
    when_main_sleeps(interrupt)
    assert ask(waiter) in ("opened", True)
    assert calls == [number]
    assert signal.getsignal(number) is opens


# A handler that raises: its exception leaves main's wait.
class Alarm(Exception):
    pass


def raises(signum: int, frame: object) -> None:
    raise Alarm


signal.signal(number, raises)
gate = Gate()
when_main_sleeps(interrupt)
try:
    fetch(gate.task)
except Alarm:
    print("raised")
assert signal.getsignal(number) is raises
gate.close()

# A handler that returns, in the middle of a task that main runs.
calls = []
signal.signal(number, lambda signum, frame: calls.append(signum))


def guest() -> str:
    interrupt()
    while not calls:
        pass
    return "handled"


gate = Gate()
task = pinned(guest)
task.add_done_callback(lambda _: gate.open())
fetch(gate.task)
assert fetch(task) == "handled"
assert calls == [number]
gate.close()
print("handled")
