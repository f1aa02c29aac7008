"""Two threads and a queue.SimpleQueue for each direction."""

import threading
from itertools import repeat
from queue import SimpleQueue


def run(times: int) -> tuple[int, int]:
    """Return how often the item came back, and how many threads played."""
    there: SimpleQueue[int] = SimpleQueue()
    back: SimpleQueue[int] = SimpleQueue()
    counts: list[int] = []
    threads_seen = set()

    def ping() -> None:
        put, get = there.put, back.get
        threads_seen.add(threading.get_ident())
        count = 0
        for _ in repeat(None, times):
            put(1)
            if get():
                count += 1
        counts.append(count)

    def pong() -> None:
        put, get = back.put, there.get
        threads_seen.add(threading.get_ident())
        for _ in repeat(None, times):
            put(get())

    threads = [threading.Thread(target=player) for player in (ping, pong)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts[0], len(threads_seen)
