"""The block, with threading's lock."""

import threading

from lock.body import body


def run(data: tuple[str, range]) -> bool:
    """Enter and leave it so often; return whether it is free in the end."""
    kind, loop = data
    return body(getattr(threading, kind)(), loop)
