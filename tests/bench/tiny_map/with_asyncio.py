"""A task of asyncio an item."""

import asyncio

from tiny_map.problem import successor


async def call(item: int) -> int:
    """Map one item."""
    return successor(item)


async def call_all(items: range) -> list[int]:
    """Map all items at once."""
    return await asyncio.gather(*map(call, items))


def run(items: range) -> list[int]:
    """Map the items in an event loop."""
    return asyncio.run(call_all(items))
