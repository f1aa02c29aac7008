"""The block, with taskrt's lock."""

import taskrt
from lock.body import body


def run(data: tuple[str, range]) -> bool:
    """Enter and leave it so often; return whether it is free in the end."""
    kind, loop = data
    return body(getattr(taskrt, kind)(), loop)
