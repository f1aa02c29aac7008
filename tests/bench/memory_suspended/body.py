"""The function that is suspended, the same for both."""

from collections.abc import Callable

started = 0


def body(suspend: Callable[[object], object], on: object) -> object:
    """Count the start and suspend."""
    global started
    started += 1
    return suspend(on)
