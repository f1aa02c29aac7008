"""The block, with taskrt's lock."""

import taskrt


def run(data: tuple[str, range]) -> bool:
    """Enter and leave it so often; return whether it is free in the end."""
    kind, loop = data
    lock = getattr(taskrt, kind)()
    for _ in loop:
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
        with lock:
            pass
    free: bool = lock.acquire(False)
    return free
