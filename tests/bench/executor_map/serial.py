"""A list comprehension."""

from executor_map.problem import successor


def run(items: range) -> list[int]:
    """Map the items."""
    return [successor(item) for item in items]
