"""Main ends while tasks wait, in every way there is, for what never comes.

Each is cancelled, and cleans up. Those whose wait ends by itself come to their end.
"""

import os
from collections.abc import Callable

from support.gates import until, until_suspended

from taskrt import (
    Barrier,
    BoundedSemaphore,
    Cancelled,
    Channel,
    Condition,
    Event,
    Latch,
    Lock,
    Queue,
    RLock,
    Semaphore,
    Spawner,
    Task,
    TaskGroup,
    Waiter,
    as_completed,
    fetch,
    join,
    race,
    select,
    sleep,
    sleep_op,
    spawn,
    wait_all,
    wait_any,
    wait_readable,
)

lock, rlock, condition, unfinished = Lock(), RLock(), Condition(), Queue[int]()
lock.acquire()
rlock.acquire()
unfinished.put(1)
children: list[Task[bool]] = []
stuck: Task[bool] = spawn(Event().wait)
until_suspended(stuck)


def wait_for_a_condition() -> None:
    with condition:
        condition.wait()


def wait_in_a_group() -> None:
    with TaskGroup() as group:
        children.append(group.spawn(Event().wait))  # which may run here, as a call


def wait_twice() -> None:
    """Wait again in the clean-up, which is cancelled again."""
    try:
        Event().wait()
    finally:
        Channel().get()


waits: dict[str, Callable[[], object]] = {
    "lock": lock.acquire,
    "rlock": rlock.acquire,
    "condition": wait_for_a_condition,
    "semaphore": Semaphore(0).acquire,
    "bounded semaphore": BoundedSemaphore(0).acquire,
    "event": Event().wait,
    "autoreset event": Event(autoreset=True).wait,
    "barrier": Barrier(2).wait,
    "latch": Latch(1).wait,
    "waiter": Waiter().park,
    "get": Channel().get,
    "put": lambda: Channel().put(1),
    "queue get": Queue().get,
    "queue join": unfinished.join,
    "select": lambda: select(Channel().get_op(), Event().wait_op(), stuck.wait_op()),
    "fetch": lambda: fetch(stuck),
    "wait_all": lambda: wait_all([stuck]),
    "wait_any": lambda: wait_any([stuck]),
    "as_completed": lambda: list(as_completed([stuck])),
    "join": lambda: join(Event().wait, Event().wait),
    "race": lambda: race(Event().wait, Event().wait),
    "group": wait_in_a_group,
    "twice": wait_twice,
}
patient: dict[str, Callable[[], object]] = {
    "sleep": lambda: sleep(0.05),
    "event with a timeout": lambda: Event().wait(0.05),
    "select with a time": lambda: select(Event().wait_op(), sleep_op(0.05)),
}


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def body(name: str, call: Callable[[], object]) -> None:
    try:
        call()
        say(f"{name} went on")
    except Cancelled:
        say(f"{name} was cancelled")
        raise
    finally:
        say(f"{name} cleaned up")


tasks = [Spawner(name=name)(body, name, call) for name, call in waits.items()]
until(lambda: children)
until_suspended(*children, *[task for task in tasks if task.name != "group"])
for name, call in patient.items():
    until_suspended(Spawner(name=name)(body, name, call))
# They may be waited for by nobody, and wait for longer than anybody wants to.
detached = Spawner(detached=True)
until_suspended(detached(body, "detached sleep", lambda: sleep(1000)))
if os.path.isdir("/proc/self/fd"):
    reader, writer = os.pipe()
    readable = lambda: wait_readable(reader)  # noqa: E731
    until_suspended(detached(body, "detached descriptor", readable))
say("main ends")
