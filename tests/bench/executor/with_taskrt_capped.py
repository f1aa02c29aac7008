"""TaskExecutor with max_workers."""

from executor import problem
from taskrt.interop.futures import TaskExecutor

POOL = TaskExecutor(2)


def run(data: tuple[str, int]) -> int:
    """Make the calls."""
    return problem.run(POOL, data)
