"""Event loops of asyncio for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

SOON = 0.002


async def give(value: object) -> object:
    """Return the value a moment later."""
    await asyncio.sleep(SOON)
    return value


class Loop:
    """A loop on a thread of its own."""

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = factory()
        started = threading.Event()
        self.loop.call_soon(started.set)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        started.wait()

    def close(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()
