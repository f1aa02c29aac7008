"""Loops over index ranges: blocks of indices, on demand, on every thread that is free.

A loop is a family of tasks. Each that works on it has a part of the range and takes
blocks from its front. Who has done all of its part takes the back half of another's,
whether or not that one is in the middle of a block, and ends when nobody has any left.

Tasks come by invitation. One that nobody has started is kept on offer as long as there
may be something to do: a thread that is free starts it, takes half of a part, and
offers the next. So a loop has about as many tasks as threads had time for it, and when
none has it is a plain loop with an offer that was made for nothing.

Source: steal half, D. Hendler and N. Shavit, PODC 2002; invitations: V8's jobs.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from operator import index
from time import perf_counter_ns
from typing import Literal, TypeAlias

from taskrt import _core
from taskrt._core import AtomicInt
from taskrt.errors import Cancelled, CancelledError
from taskrt.waits import _note_others

Schedule: TypeAlias = Literal["auto", "static", "greedy", "serial"]
Body: TypeAlias = Callable[[int, int], object]

# A block is to take this long at least, and not many times as long: what the loop adds
# to a block is about a microsecond, and the first error, a request to end and a thread
# that asks for work have to wait for its end.
_SHORT_NS = 50_000
_LONG_NS = 8 * _SHORT_NS

# A part of the range is one word, so that nobody holds a lock while Python may run a
# finalizer: the first index that is left in the upper half, the end in the lower one.
_HALF = 32
_END = (1 << _HALF) - 1
_MOST = (1 << (_HALF - 1)) - 1  # indices in a part; words have a sign


def _make_part(low: int, high: int) -> AtomicInt:
    return AtomicInt(low << _HALF | high)


def _take_block(part: AtomicInt, size: int, least: int) -> tuple[int, int]:
    """Take indices from the front: low == high, if none is left.

    size   how many, but no more than a quarter of those left: the next may take longer
    least  so many even then
    """
    while True:
        word = part.load()
        low, high = word >> _HALF, word & _END
        left = high - low
        end = low + min(size, max(left // 4, least), left)
        if not left or part.compare_exchange(word, end << _HALF | high):
            return low, end


def _take_half(part: AtomicInt) -> AtomicInt | None:
    """Take the back half, the last index too; None if nothing is left."""
    while True:
        word = part.load()
        low, high = word >> _HALF, word & _END
        middle = high - (high - low + 1) // 2
        if low == high:
            return None
        if part.compare_exchange(word, low << _HALF | middle):
            return _make_part(middle, high)


class _Loop:
    """One loop that runs: what its tasks share.

    start    called by each task that works on it, before its first block: returns the
             body, called with disjoint ranges that together cover the loop
    grain    the most indices in a block; None: what takes about 50 microseconds
    """

    family: _core._Family
    __slots__ = (
        "done",
        "failures",
        "family",
        "grain",
        "parts",
        "size",
        "start",
        "stopped",
    )

    def __init__(self, start: Callable[[], Body], grain: int | None) -> None:
        self.start = start
        self.grain = grain
        self.size = grain or 1  # of the next block, as far as anybody knows
        self.parts: deque[AtomicInt] = deque()  # of which something may be left
        self.failures: list[tuple[int, BaseException]] = []  # with where they happened
        self.stopped = False
        self.done = AtomicInt()  # how many indices, by tasks that have ended

    def call(self, body: Body, low: int, high: int) -> None:
        """Run one block, and learn from it how large the next is to be."""
        if self.grain is not None:
            body(low, high)
            return
        begun = perf_counter_ns()
        body(low, high)
        spent = perf_counter_ns() - begun
        count = high - low
        if spent < _SHORT_NS:
            times = 8 if spent < _SHORT_NS // 8 else 2
            self.size = max(self.size, times * count)
        elif spent > _LONG_NS:
            self.size = max(1, count // 2)

    def fail(self, low: int, error: BaseException) -> None:
        self.failures.append((low, error))
        self.stopped = True

    def find_part(self) -> AtomicInt | None:
        """Take half of what another has left, by turns; None if all is taken."""
        while not self.stopped:
            try:
                part = self.parts[0]
            except IndexError:
                break
            half = _take_half(part)
            if half is not None:
                self.parts.rotate(-1)
                self.parts.append(half)
                return half
            with suppress(ValueError):  # somebody else has removed it
                self.parts.remove(part)
        return None

    def help(self) -> None:
        """Take part in the loop, and invite the next. The body of a task."""
        part = self.find_part()
        if part is not None:
            self.family._adopt(_core._aside, self.help)
            self.work(part, True)

    def work(self, part: AtomicInt, finds: bool) -> None:
        """Run all blocks of this part.

        finds  whether to go on with parts of others
        """
        low, done = part.load() >> _HALF, 0
        learns = self.grain is None
        body: Body | None = None
        try:
            while not self.stopped:
                _core._take_turn()
                size = self.size
                least = max(1, size // 4) if learns else size
                low, high = _take_block(part, size, least)
                if low < high:
                    body = body or self.start()
                    self.call(body, low, high)
                    done += high - low
                    continue
                more = self.find_part() if finds else None
                if more is None:
                    break
                part = more
        except Cancelled:
            raise
        except BaseException as error:
            self.fail(low, error)
            if not isinstance(error, Exception):
                raise
        self.done.fetch_add(done)

    def feed(self, length: int, next_index: AtomicInt) -> None:
        """Run blocks from the one feed that all tasks of the loop share."""
        low = 0
        body: Body | None = None
        try:
            while not self.stopped:
                _core._take_turn()
                size = self.size
                low = next_index.fetch_add(size)
                if low >= length:
                    break
                high = min(low + size, length)
                body = body or self.start()
                self.call(body, low, high)
                self.done.fetch_add(high - low)
        except Cancelled:
            raise
        except BaseException as error:
            self.fail(low, error)
            if not isinstance(error, Exception):
                raise

    def take_part(self, run: Callable[..., None], *args: object) -> None:
        """Do the caller's part: on its thread, unless that is an interactive one."""
        if _core._is_interactive():
            self.family._adopt(_core._aside, run, *args)
        else:
            run(*args)

    def run(self, length: int, schedule: Schedule, threads: int) -> None:
        self.family = _core._Family()
        try:
            with self.family:
                self.begin(length, schedule, threads)
        except BaseException as error:  # of the caller: cancelled, or interrupted
            self.family._errors()  # noted here, so they count as observed
            others = [other for _, other in self.failures if other is not error]
            _note_others(error, others)
            raise
        self.raise_first()
        if self.done.load() != length:
            raise CancelledError("a task of the loop was cancelled: not all was done")

    def begin(self, length: int, schedule: Schedule, threads: int) -> None:
        """Spawn the first tasks, and take part. In the family's block."""
        if schedule == "auto":
            part = _make_part(0, length)
            self.parts.append(part)
            self.family._adopt(_core._aside, self.help)
            self.take_part(self.work, part, True)
        elif schedule == "greedy":
            feed = AtomicInt()
            for _ in range(min(threads, length) - 1):
                self.family._adopt(_core._aside, self.feed, length, feed)
            self.take_part(self.feed, length, feed)
        else:
            parts = min(threads, length)
            ends = [length * part // parts for part in range(parts + 1)]
            for low, high in pairwise(ends[1:]):
                self.family._adopt(
                    _core._aside, self.work, _make_part(low, high), False
                )
            self.take_part(self.work, _make_part(0, ends[1]), False)

    def raise_first(self) -> None:
        """Raise the error of the lowest index that failed, if one has."""
        self.family._errors()  # all are in `failures`; now they count as observed
        if self.failures:
            self.failures.sort(key=lambda failure: failure[0])
            errors = [error for _, error in self.failures]
            self.failures.clear()
            others = [error for error in errors[1:] if error is not errors[0]]
            _note_others(errors[0], others)
            try:
                raise errors[0]
            finally:
                del errors, others  # they refer to this frame

    def run_serial(self, length: int) -> None:
        body = self.start()
        low = 0
        while low < length:
            _core._take_turn()
            high = min(low + self.size, length)
            self.call(body, low, high)
            low = high


def as_count(who: str, name: str, value: int | None) -> int | None:
    """Return an option that is a number of items as an int, or None if it is that.

    Integers of other types, such as NumPy's, are taken for what they are; other things
    raise TypeError, and what is no number of items ValueError.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{who}: {name} must be an int or None, not {type(value).__name__!r}"
        )
    count = index(value)
    if count < 1:
        raise ValueError(f"{who}: {name} must be 1 or more, or None, not {count}")
    return count


def check_options(who: str, grain: int | None, schedule: str) -> int | None:
    """Return the grain as an int or None; raise what is wrong with a loop's options.

    who  the function that was called, for the message
    """
    count = as_count(who, "grain", grain)
    if schedule not in ("auto", "static", "greedy", "serial"):
        raise ValueError(
            f"{who}: schedule must be 'auto', 'static', 'greedy' or 'serial', not "
            f"{schedule!r}"
        )
    return count


def run_loop(
    length: int,
    start: Callable[[], Body],
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> None:
    """Run a loop over range(length); as run_blocks, with a body for each task.

    start  called by each task that works on the loop before its first block; returns
           the body

    All of it is aside, see lineage.h: how the loop divides depends on who is free, and
    must move nobody's random numbers.
    """
    for first in range(0, length, _MOST):  # once, or so long that it matters little
        count = min(_MOST, length - first)
        threads = 1 if schedule == "serial" else _core.num_threads()
        loop = _Loop(_shifted(start, first), grain)
        is_short = threads == 1 or count <= (grain or 1)
        if schedule == "serial" or (is_short and not _core._is_interactive()):
            _core._aside(loop.run_serial, count)
        else:
            _core._aside(loop.run, count, schedule, threads)


def _shifted(start: Callable[[], Body], first: int) -> Callable[[], Body]:
    """Return what starts the same bodies for a loop that begins with that index."""

    def start_there() -> Body:
        body = start()
        return lambda low, high: body(first + low, first + high)

    return start_there if first else start


def run_blocks(
    length: int,
    body: Body,
    *,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> None:
    """Call body(low, high) for disjoint blocks that together cover range(length).

    length    indices, 0 or more
    body      called by the calling task and by others at the same time
    grain     the most indices in a block; None: as many as take about 50 microseconds,
              one if that one takes longer
    schedule  "auto": blocks go to whoever is free; "static": each thread has one range;
              "greedy": blocks in order from one feed; "serial": all here, no task

    Returns when no body runs any more. When one fails, no further block begins; then
    raises the error of the lowest block that failed, itself, with a note on the others,
    which count as observed. If the caller is cancelled or interrupted, so are the
    others, and all are waited for. A suspension point, a checkpoint before each block;
    any thread. Source: steal half, D. Hendler and N. Shavit, PODC 2002.
    """
    run_loop(length, lambda: body, grain=grain, schedule=schedule)
