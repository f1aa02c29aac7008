"""A task an item."""

from taskrt import fetch, spawn
from tiny_map.problem import successor


def run(items: range) -> list[int]:
    """Map the items."""
    return [fetch(task) for task in [spawn(successor, item) for item in items]]
