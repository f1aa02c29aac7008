"""A submit a level: its two threads wait for work that only they could do."""

from concurrent.futures import ThreadPoolExecutor

POOL = ThreadPoolExecutor(2)


def run(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    return fib(n)


def fib(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    if n < 2:
        return n
    lower = POOL.submit(fib, n - 2)
    return fib(n - 1) + lower.result()
