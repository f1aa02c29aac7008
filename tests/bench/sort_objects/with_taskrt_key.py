"""A parallel sort, with a key."""

from sort_objects.problem import key
from taskrt import parallel


def run(numbers: list[float]) -> list[float]:
    """Sort the numbers."""
    return parallel.sort(numbers, key=key)
