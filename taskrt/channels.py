"""Channels, the choice among them, and a queue with the standard library's manners."""

import math
from typing import Generic, TypeVar

from taskrt import _core
from taskrt._unique import Unique
from taskrt.errors import ChannelClosed, ShutDown
from taskrt.statistics import QueueStatistics

__all__ = ["Channel", "Queue", "select", "sleep_op"]

_T = TypeVar("_T")

Channel = _core.Channel
select = _core.select
sleep_op = _core.sleep_op


class Queue(Unique, Generic[_T]):
    """A `queue.Queue` whose waits park the task.

    maxsize  how many items it holds; 0 or less for any number. Constant

    For tasks and threads in any mixture. Who waits longest is served first, and an item
    is not lost when a task that waits is cancelled. There are no hooks for subclasses
    such as `_get`, and no `mutex`. `unfinished_tasks` and `join` count an item from
    when its `put` begins, be it that it still waits for room.

    >>> queue = Queue()
    >>> queue.put("item")
    >>> queue.get()
    'item'
    >>> queue.task_done()
    >>> queue.join()
    """

    __module__ = "taskrt"

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize = maxsize
        limit = maxsize if maxsize > 0 else math.inf
        self._channel: _core.Channel[_T] = _core.Channel(limit)
        self._unfinished = _core._Tally()

    def __repr__(self) -> str:
        state = "shut down" if self.is_shutdown else "open"
        return (
            f"<taskrt.Queue at {id(self):#x}: {self.qsize()} items, "
            f"{self.unfinished_tasks} unfinished, {state}>"
        )

    @property
    def maxsize(self) -> int:
        """As given."""
        return self._maxsize

    @property
    def unfinished_tasks(self) -> int:
        """How many items were put and not reported by `task_done`."""
        return self._unfinished.count

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown` was called."""
        return self._channel.closed

    def statistics(self) -> QueueStatistics:
        """Return a `taskrt.statistics.QueueStatistics`. Not a suspension point."""
        channel = self._channel.statistics()
        return QueueStatistics(
            self._maxsize,
            channel.qsize,
            channel.closed,
            self.unfinished_tasks,
            channel.tasks_waiting_put,
            channel.tasks_waiting_get,
        )

    def qsize(self) -> int:
        """Return how many items are held at the moment."""
        return self._channel.qsize()

    def empty(self) -> bool:
        """Return whether none is held at the moment."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Return whether `maxsize` items are held at the moment."""
        return 0 < self._maxsize <= self.qsize()

    def put(self, item: _T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item in; wait for room.

        block    whether to wait; `timeout` is then in seconds, None for no limit

        Raises `queue.Full` if there is no room (in time), `ShutDown` if the queue was
        shut down, also meanwhile, ValueError for a negative timeout, Cancelled. A
        suspension point and a checkpoint, unless `block` is false.
        """
        _refuse_negative(timeout, block)
        try:
            self._unfinished.put(self._channel, item, block, timeout)
        except ChannelClosed:
            raise ShutDown("cannot put: the queue was shut down") from None

    def get(self, block: bool = True, timeout: float | None = None) -> _T:
        """Take the oldest item out and return it; wait for one.

        block    whether to wait; `timeout` is then in seconds, None for no limit

        Raises `queue.Empty` if there is none (in time), `ShutDown` if the queue is
        empty and was shut down, also meanwhile, ValueError for a negative timeout,
        Cancelled. A suspension point and a checkpoint, unless `block` is false.
        """
        _refuse_negative(timeout, block)
        try:
            if block:
                return self._channel.get(timeout)
            return self._channel.get_nowait()
        except ChannelClosed:
            raise ShutDown("cannot get: the queue was shut down") from None

    def put_nowait(self, item: _T) -> None:
        """Do put(item, block=False)."""
        self.put(item, block=False)

    def get_nowait(self) -> _T:
        """Do get(block=False)."""
        return self.get(block=False)

    def task_done(self) -> None:
        """Report that an item that was got has been dealt with.

        Raises ValueError if there are more reports than items. Not a suspension point.
        """
        if not self._unfinished.finish():
            raise ValueError("task_done() called too many times")

    def join(self) -> None:
        """Wait until all items that were put have been dealt with.

        Raises Cancelled. A suspension point and a checkpoint.
        """
        self._unfinished.wait(self)

    def shutdown(self, immediate: bool = False) -> None:
        """Refuse puts from now on, those that wait included, and gets once it is empty.

        immediate  whether to drop all items, as if each had been got and dealt with

        Not a suspension point.
        """
        self._channel.close()
        if immediate:
            self._unfinished.clear(self._channel)


def _refuse_negative(timeout: float | None, block: bool) -> None:
    """Do as `queue` does."""
    if block and timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
