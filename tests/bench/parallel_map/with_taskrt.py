"""taskrt.parallel.map."""

from parallel_map.problem import successor
from taskrt import parallel


def run(items: range) -> list[int]:
    """Map the items."""
    return parallel.map(successor, items)
