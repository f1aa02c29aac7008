"""A greenlet of gevent a level."""

import gevent


def run(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    return fib(n)


def fib(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    if n < 2:
        return n
    lower = gevent.spawn(fib, n - 2)
    return fib(n - 1) + int(lower.get())
