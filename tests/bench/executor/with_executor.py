"""ThreadPoolExecutor."""

from concurrent.futures import ThreadPoolExecutor

from executor import problem

POOL = ThreadPoolExecutor(2)


def run(data: tuple[str, int]) -> int:
    """Make the calls."""
    return problem.run(POOL, data)
