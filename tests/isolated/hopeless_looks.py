"""Who could end main's wait goes away while main looks whether anybody could.

argv[1]: "wakes": it has woken a task that will; "sets": it has done it itself.
"""

import sys
import threading

from taskrt import Event, fetch, runtime, sleep, spawn

ended, woken = Event(), Event()
looks = threading.Event()
look = runtime._something_may_come


def work() -> None:
    woken.wait()
    ended.set()


def leave() -> None:
    looks.wait()
    (woken if sys.argv[1] == "wakes" else ended).set()


def look_when_it_has_gone(*args: object) -> bool:
    looks.set()
    other.join()
    return look(*args)  # type: ignore[arg-type]


task = spawn(work)
sleep(0.01)
other = threading.Thread(target=leave)
other.start()
runtime._something_may_come = look_when_it_has_gone  # type: ignore[assignment]
assert ended.wait()
woken.set()
fetch(task)
