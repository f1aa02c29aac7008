"""ThreadPool.map, in chunks."""

from multiprocessing.pool import ThreadPool

from executor_map.problem import successor

POOL = ThreadPool(2)


def run(items: range) -> list[int]:
    """Map the items."""
    return POOL.map(successor, items)
