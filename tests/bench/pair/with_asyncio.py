"""The call in a task of asyncio, which is awaited at once."""

import asyncio

from pair.problem import UNROLLED, empty


async def call() -> int:
    """Make the call."""
    return empty()


async def all_calls(count: int) -> int:
    """Make so many, a task each, one after another."""
    answer = 0
    for _ in range(count):
        answer = await asyncio.create_task(call())
    return answer


def run(loop: range) -> int:
    """Run an event loop that makes the calls."""
    return asyncio.run(all_calls(len(loop) * UNROLLED))
