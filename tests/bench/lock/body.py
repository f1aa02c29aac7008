"""The block, the same for both."""

from typing import Any

UNROLLED = 10  # blocks in one turn of a loop, so that the loop itself counts little


def body(lock: Any, loop: range) -> bool:
    """Enter and leave it so often; return whether it is free in the end."""
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
