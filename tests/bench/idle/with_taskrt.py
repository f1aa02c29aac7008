"""A runtime that has worked and is now idle."""

import threading
import time

from taskrt import TaskGroup, fetch, sleep, spawn, yield_now


def cpu_share(how: str, seconds: float) -> float:
    """Return the process's processor time per second while it idles so long."""
    for task in [spawn(sum, range(1000)) for _ in range(1000)]:
        fetch(task)
    with TaskGroup() as group:
        if how == "10,000 sleepers":
            sleepers = [group.spawn(sleep, 1e6) for _ in range(10_000)]
            while any(task.state != "suspended" for task in sleepers):
                yield_now()
        share = idle(how, seconds)
        group.cancel()
    return share


def idle(how: str, seconds: float) -> float:
    """Do nothing for so long, in one of the ways; return the share."""
    time.sleep(0.2)  # long enough for every worker to have gone to sleep
    start, cpu = time.perf_counter(), time.process_time()
    if how == "waiting":
        fetch(spawn(threading.Event().wait, seconds))
    else:
        time.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - start)
