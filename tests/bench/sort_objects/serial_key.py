"""The builtin, with a key."""

from sort_objects.problem import key


def run(numbers: list[float]) -> list[float]:
    """Sort the numbers."""
    return sorted(numbers, key=key)
