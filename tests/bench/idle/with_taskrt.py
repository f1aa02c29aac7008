"""A runtime that has worked and is now idle."""

import threading
import time

from taskrt import fetch, spawn


def cpu_share(how: str, seconds: float) -> float:
    """Return the process's processor time per second while it idles so long."""
    for task in [spawn(sum, range(1000)) for _ in range(1000)]:
        fetch(task)
    time.sleep(0.2)  # long enough for every worker to have gone to sleep
    start, cpu = time.perf_counter(), time.process_time()
    if how == "asleep":
        time.sleep(seconds)
    else:
        fetch(spawn(threading.Event().wait, seconds))
    return (time.process_time() - cpu) / (time.perf_counter() - start)
