"""How long the sleeps are, the same for all."""

from collections.abc import Iterator


def lengths(count: int) -> Iterator[float]:
    """Give so many lengths in seconds, from 1 to 5 ms."""
    for i in range(count):
        yield 0.001 + 0.004 * (i * 0.618034 % 1)
