"""Main ends while plain threads wait for tasks: those that can get their value do."""

import os
import threading

from support.gates import Gate, pinned

from taskrt import Task, fetch, spawn


def ask(name: str, task: Task[object]) -> None:
    asking[name].set()
    os.write(1, f"{name} got {fetch(task)}\n".encode())


asking = {"joined": threading.Event(), "daemon": threading.Event()}
gate = Gate()
threading.Thread(target=ask, args=("daemon", gate.task), daemon=True).start()
threading.Thread(target=ask, args=("joined", pinned(lambda: "it"))).start()
for event in asking.values():
    event.wait()
spawn(fetch, gate.task)
