"""A task a level."""

from taskrt import fetch, spawn


def run(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    return fib(n)


def fib(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    if n < 2:
        return n
    lower = spawn(fib, n - 2)
    return fib(n - 1) + fetch(lower)
