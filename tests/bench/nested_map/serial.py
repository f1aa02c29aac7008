"""Nested list comprehensions."""

from nested_map.problem import nest


def run(size: int) -> list[object]:
    """Map the roots."""
    return [nest(lambda fn, items: [fn(i) for i in items], r) for r in range(size)]
