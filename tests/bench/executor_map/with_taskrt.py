"""TaskExecutor.map."""

from executor_map.problem import successor
from taskrt.interop.futures import TaskExecutor

POOL = TaskExecutor()


def run(items: range) -> list[int]:
    """Map the items."""
    return list(POOL.map(successor, items))
