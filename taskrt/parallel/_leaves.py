"""Sequences cut into leaves by their length and the grain alone.

So what is computed leaf by leaf, and then from what came of the leaves in their order,
is the same bit for bit whatever the number of threads.
"""

from collections.abc import Callable, Iterable, Sequence
from math import isqrt
from typing import Any, Generic, TypeVar

from taskrt.parallel._blocks import Schedule, run_blocks
from taskrt.parallel._calls import as_sliced, block_of

_T = TypeVar("_T")
_R = TypeVar("_R")


class Leaves(Generic[_T]):
    """The items of an iterable, in slices that are made when they are asked for.

    grain     items of a leaf, 1 or more; None: a quarter of the root of their number,
              so that there are enough of them, and few beside the items
    schedule  how leaves get to threads, as for loops
    """

    __slots__ = ("_alone", "_length", "count", "grain", "items", "schedule")

    def __init__(
        self, iterable: Iterable[_T], grain: int | None, schedule: Schedule
    ) -> None:
        self.items = as_sliced(iterable)
        length = self._length = len(self.items)
        self.grain = grain or max(1, isqrt(length) // 4)
        self.count = -(-length // self.grain)
        self._alone = grain is not None
        self.schedule = schedule

    def __getitem__(self, number: int) -> Sequence[_T]:
        """Return a leaf."""
        low = number * self.grain
        return block_of(self.items, low, min(low + self.grain, self._length))

    def map(self, fn: Callable[[int], _R]) -> list[_R]:
        """Return fn(number) of each leaf, in order, called in parallel.

        With a grain of the caller's, leaves are the blocks of the loop. A suspension
        point.
        """
        found: list[Any] = [None] * self.count

        def body(low: int, high: int) -> None:
            for number in range(low, high):
                found[number] = fn(number)

        grain = 1 if self._alone else None
        run_blocks(self.count, body, grain=grain, schedule=self.schedule)
        return found

    def fold(self, fold: Callable[[Sequence[_T]], _R]) -> list[_R]:
        """Return fold(leaf) of each, as `map`; a thread takes some at once."""
        self._alone = False
        return self.map(lambda number: fold(self[number]))
