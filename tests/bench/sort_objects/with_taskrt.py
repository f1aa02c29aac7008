"""A parallel sort."""

from taskrt import parallel


def run(numbers: list[float]) -> list[float]:
    """Sort the numbers."""
    return parallel.sort(numbers)
