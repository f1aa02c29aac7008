"""Pool.map."""

from executor_map.problem import successor
from taskrt.interop.pool import Pool

POOL = Pool()


def run(items: range) -> list[int]:
    """Map the items."""
    return POOL.map(successor, items)
