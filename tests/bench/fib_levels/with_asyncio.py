"""A task of asyncio a level."""

import asyncio


def run(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    return asyncio.run(fib(n))


async def fib(n: int) -> int:
    """Return the `n`-th Fibonacci number."""
    if n < 2:
        return n
    lower = asyncio.create_task(fib(n - 2))
    return await fib(n - 1) + await lower
