"""Two tasks on two workers and a rendezvous channel for each direction."""

import threading
import time
from itertools import repeat

from taskrt import Channel, spawn


def run(times: int) -> tuple[int, int]:
    """Return how often the item came back, and how many threads played."""
    there: Channel[int] = Channel()
    back: Channel[int] = Channel()
    counts: list[int] = []
    threads_seen = set()
    met = threading.Barrier(3)

    def meet() -> None:
        """Hold this thread until the other task has started too, elsewhere."""
        threads_seen.add(threading.get_ident())
        met.wait()

    def ping() -> None:
        put, get = there.put, back.get
        meet()
        count = 0
        for _ in repeat(None, times):
            put(1)
            if get():
                count += 1
        counts.append(count)

    def pong() -> None:
        put, get = back.put, there.get
        meet()
        for _ in repeat(None, times):
            put(get())

    tasks = spawn(ping), spawn(pong)
    met.wait()  # main stays out of it
    while not all(task.done() for task in tasks):
        time.sleep(0.0005)
    return counts[0], len(threads_seen)
