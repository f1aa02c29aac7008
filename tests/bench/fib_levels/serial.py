"""Plain recursion."""


def run(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    return fib(n)


def fib(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    if n < 2:
        return n
    lower = fib(n - 2)
    return fib(n - 1) + lower
