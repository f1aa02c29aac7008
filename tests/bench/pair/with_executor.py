"""The call through a thread pool, whose result is awaited at once."""

from concurrent.futures import ThreadPoolExecutor

from pair.problem import UNROLLED, empty

POOL = ThreadPoolExecutor(2)


def run(loop: range) -> int:
    """Submit it and wait."""
    answer = 0
    for _ in range(len(loop) * UNROLLED):
        answer = POOL.submit(empty).result()
    return answer
