"""A sleeping coroutine, on a loop that has nothing else to do."""

import asyncio
import time

from sleep_accuracy.lengths import lengths


def lateness(count: int) -> list[float]:
    """Return by how many seconds each sleep was too long; its clock may be early."""
    return asyncio.run(sleeps(count))


async def sleeps(count: int) -> list[float]:
    """Sleep so often."""
    late = []
    for seconds in lengths(count):
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        late.append(time.perf_counter() - start - seconds)
    return late
