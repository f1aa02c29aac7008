"""A task that waits on main is cancelled while a signal handler runs on top of that."""

import gc
import signal
import threading
from types import FrameType

from support.gates import pinned, until

from taskrt import Cancelled, Event, fetch, spawn, stats, wait, yield_now

yield_now()
event, over = Event(), threading.Event()
parked = stats()["workers"][0]["parked"]
ended: list[object] = []


class Finalized:
    """Part of a cycle: its end is a call in a collection, where no stack is left."""

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        try:
            ended.append(event.wait())
        except Cancelled:
            ended.append("cancelled")


def handle(signum: int, frame: FrameType | None) -> None:
    if stats()["workers"][0]["parked"] == parked:
        signal.setitimer(signal.ITIMER_REAL, 0.002)  # main has yet to wait
        return

    def work() -> None:
        thread = threading.Thread(target=cancel)
        thread.start()
        thread.join()

    fetch(spawn(work))


def cancel() -> None:
    assert task.cancel()
    over.set()


def rescue() -> None:
    over.wait()
    over.clear()
    over.wait(5)
    event.set()  # so that it ends, in failure


signal.signal(signal.SIGALRM, handle)
rescuer = threading.Thread(target=rescue)
rescuer.start()
Finalized()
task = pinned(gc.collect)
signal.setitimer(signal.ITIMER_REAL, 0.002)
wait(task)
until(lambda: bool(ended))
over.set()
rescuer.join()
assert ended == ["cancelled"], ended
print("all is well")
