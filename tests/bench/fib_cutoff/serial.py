"""Plain recursion."""

from fib_levels.serial import fib


def run(data: tuple[int, int]) -> int:
    """Return the n-th Fibonacci number."""
    return fib(data[0])
