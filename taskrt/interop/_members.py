"""The calls that an executor or a pool has taken, until all of them have ended."""

import weakref
from typing import Any

from taskrt import _core
from taskrt._core import limit
from taskrt.parallel._feed import Feed

__all__ = ["Members"]


class Members:
    """Single calls, which are tasks of a roster, and maps, whose lanes are.

    most  how many calls run at a time, at most; None: as many as threads
    name  of the tasks; None: none
    """

    def __init__(self, most: int | None, name: str | None = None) -> None:
        self.roster = _core._Roster(None if most is None else limit(most), name)
        self._maps: weakref.WeakSet[Feed[Any]] = weakref.WeakSet()

    def add_map(self, feed: Feed[Any]) -> None:
        """Let `cancel` know of a map, before it starts."""
        self._maps.add(feed)

    def close(self) -> None:
        """Let nobody in any more, but what calls that run have begun. Any thread."""
        self.roster._close()

    def cancel(self) -> None:
        """Begin none that has not begun. Not a suspension point; any thread."""
        for feed in list(self._maps):
            feed.cut()
        for task in self.roster._living():
            _core._cancel_pending(task)

    def wait(self) -> None:
        """Wait until all have ended, after `close`. A suspension point."""
        living = self.roster._living()
        if living:
            _core.wait(*living)  # which may run them here
            del living
        self.roster._wait()
