"""The problem of several: a tiny function over a range of numbers."""

__all__ = ["is_right", "make", "successor"]


def successor(x: int) -> int:
    """Return the number after `x`."""
    return x + 1


def make(size: int) -> range:
    """Return the items."""
    return range(size)


def is_right(answer: object, size: int) -> bool:
    """Return whether every item was mapped, in order."""
    return answer == list(range(1, size + 1))
