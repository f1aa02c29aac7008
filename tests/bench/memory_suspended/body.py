"""The function that is suspended, the same for both."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
started = 0


def body(suspend: Callable[[T], object], on: T) -> object:
    """Count the start and suspend."""
    global started
    started += 1
    return suspend(on)
