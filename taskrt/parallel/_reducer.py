"""Accumulators of a loop: a part for each chunk, combined in their order."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from taskrt._core import Lock
from taskrt.parallel._blocks import Body, Schedule, run_loop

_T = TypeVar("_T")

# Into how many chunks a loop is divided, which its grain may change and the number of
# threads does not: enough for 16 threads to have four each.
_CHUNKS = 64


class Reducer(Generic[_T]):
    """What the calls of a loop add to: for_each(fn, items, init=Reducer(list, iadd))

    factory  makes an empty part, called without arguments
    combine  combine(left, right) returns the two as one; it may change the left one and
             return that

    The loop is divided into chunks, each of which has a part of its own, which its
    calls get as their first argument. At the end the parts are combined from left to
    right in the order of the items, so combine has to be associative and need not be
    commutative. The chunks depend on the number of items and on grain, then their size,
    and on nothing else: even sums of floats are the same on any number of threads.

    If the loop fails nothing is added. May take part in several loops, one after
    another or at once. Source: Cilk's reducers, M. Frigo et al., SPAA 2009.

    >>> from collections import Counter
    >>> from operator import iadd
    >>> from taskrt import parallel
    >>> words = parallel.Reducer(Counter, iadd)
    >>> parallel.for_each(Counter.update, ["to be or", "not to be"], init=words)
    >>> words.value["o"]
    4
    """

    __slots__ = ("__weakref__", "_combine", "_factory", "_lock", "_parts")

    def __init__(
        self, factory: Callable[[], _T], combine: Callable[[_T, _T], _T]
    ) -> None:
        for name, what in (("factory", factory), ("combine", combine)):
            if not callable(what):
                raise TypeError(
                    f"Reducer() takes a callable {name}, not {type(what).__name__!r}"
                )
        self._factory = factory
        self._combine = combine
        self._lock = Lock()
        self._parts: list[_T] = []  # one that all are combined in, or none

    @property
    def value(self) -> _T:
        """What the loops so far have added up to; without any, an empty part.

        Raises what factory raises. Any thread.
        """
        with self._lock:
            if not self._parts:
                self._parts.append(self._factory())
            return self._parts[0]

    def _add(self, parts: list[_T]) -> None:
        with self._lock:
            total = self._parts + parts if self._parts else parts
            value = total[0]
            for part in total[1:]:
                value = self._combine(value, part)
            self._parts = [value]


def run_reduced(
    reducer: Reducer[Any],
    length: int,
    start: Callable[[tuple[Any, ...]], Body],
    grain: int | None,
    schedule: Schedule,
) -> None:
    """Run a loop whose calls get a part of the reducer.

    start  called with a tuple of what goes before the items; returns the body
    """
    size = grain or max(1, -(-length // _CHUNKS))
    count = -(-length // size)
    parts: list[Any] = [None] * count

    def run_chunk(chunk: int) -> None:
        part = reducer._factory()
        first = chunk * size
        body = start((part,))
        run_loop(
            min(size, length - first),
            lambda: lambda low, high: body(first + low, first + high),
            schedule="serial",
        )
        parts[chunk] = part

    def run_chunks(low: int, high: int) -> None:
        for chunk in range(low, high):
            run_chunk(chunk)

    run_loop(count, lambda: run_chunks, grain=1, schedule=schedule)
    if parts:
        reducer._add(parts)
