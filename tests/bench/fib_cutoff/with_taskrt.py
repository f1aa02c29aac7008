"""Tasks above the cutoff, plain recursion from there down."""

from fib_levels.serial import fib

from taskrt import fetch, spawn


def run(data: tuple[int, int]) -> int:
    """Return the n-th Fibonacci number."""
    return fib_above(*data)


def fib_above(n: int, cutoff: int) -> int:
    """Return the `n`-th Fibonacci number."""
    if n <= cutoff:
        return fib(n)
    lower = spawn(fib_above, n - 2, cutoff)
    return fib_above(n - 1, cutoff) + fetch(lower)
