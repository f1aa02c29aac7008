"""TaskExecutor."""

from executor import problem
from taskrt.interop.futures import TaskExecutor

POOL = TaskExecutor()


def run(data: tuple[str, int]) -> int:
    """Make the calls."""
    return problem.run(POOL, data)
