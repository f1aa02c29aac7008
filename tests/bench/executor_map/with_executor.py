"""ThreadPoolExecutor.map."""

from concurrent.futures import ThreadPoolExecutor

from executor_map.problem import successor

POOL = ThreadPoolExecutor(2)


def run(items: range) -> list[int]:
    """Map the items."""
    return list(POOL.map(successor, items))
