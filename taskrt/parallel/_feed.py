"""A feed: calls that are begun at once, and whose results are taken as they come.

What `imap` is not: nobody has to take results for calls to be made, so nothing bounds
how far they are ahead. Executors and pools map like that. Two roles:

* A *lane* is a task that takes blocks of items from the front, calls the function for
  each and publishes what came of them, until there are none. A lane that starts invites
  the next: so there are as many as threads have time for, and one that waits in the
  middle of a call holds up nothing but its own block.
* The *consumer* takes blocks, in the order of the items or as they are published. One
  at a time.

An error is a result: the calls after it are made all the same.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, starmap
from time import monotonic, perf_counter_ns
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from taskrt import _core
from taskrt._core import AtomicInt, Task, Waiter
from taskrt.errors import Cancelled, CancelledError
from taskrt.parallel._calls import own

_R = TypeVar("_R")

# Results, and the error after them, as often as there was one.
Parts: TypeAlias = list[tuple[list[_R], BaseException | None]]

# A block costs a few microseconds, spread over a lane and the consumer, and both are
# heard of at its end only.
_SHORT_NS = 200_000
_LONG_NS = 8 * _SHORT_NS
_LONGEST = 1 << 16  # items
# A block has no more than this part of what is left: its later items may take longer
# than the earlier ones, and of few items each may.
_SHARES = 8
_NOBODY = 0  # is awaited
_ANYTHING = 1
_FAR = 1 << 62  # beyond all items


class Block(Generic[_R]):
    """Some neighbouring items, and what came of the calls for them."""

    __slots__ = ("columns", "count", "first", "parts")

    def __init__(self, first: int, count: int, columns: tuple[Any, ...]) -> None:
        self.first = first  # index
        self.count = count
        self.columns = columns  # the lane's
        self.parts: Parts[_R] = []


class Source:
    """Where the blocks come from; a subclass knows whether the items are there."""

    def take(self, most: int) -> Block[Any] | None:
        """Take so many items at most from the front; None: there are none now.

        Called by many lanes at the same time.
        """
        raise NotImplementedError

    def ends_at(self, count: int) -> bool:
        """Return whether so many items are all.

        Raises CancelledError if those are all that were taken before a cut.
        """
        raise NotImplementedError

    def cut(self) -> None:
        """Give out no more. Any thread; takes no lock."""
        raise NotImplementedError


def _raise_cut() -> NoReturn:
    raise CancelledError("the call was cancelled before it had begun")


class Columns(Source):
    """Items that are all there: one sequence or several, which nobody changes.

    exact  whether blocks are to be as long as is asked for
    """

    def __init__(self, columns: tuple[Sequence[Any], ...], exact: bool = False) -> None:
        self._columns = columns
        self._exact = exact
        self._length = min(map(len, columns))
        self._next = AtomicInt()
        self._kept = AtomicInt(_FAR)  # how many were taken before a cut

    def take(self, most: int) -> Block[Any] | None:
        if not self._exact:
            left = self._length - self._next.load()
            most = max(1, min(most, left // _SHARES))
        first = self._next.fetch_add(most)
        if first >= self._length:
            return None
        count = min(most, self._length - first)
        columns = tuple([column[first : first + count] for column in self._columns])
        return Block(first, count, columns)

    def ends_at(self, count: int) -> bool:
        if count >= self._length:
            return True
        if count >= self._kept.load():
            _raise_cut()
        return False

    def cut(self) -> None:
        taken = self._next.exchange(_FAR)
        self._kept.compare_exchange(_FAR, taken)  # by the first


class Pulled(Source):
    """Items that one task pulls from an iterable, at once and all of them.

    chunk  how many items each block has; those before an error of the iterable that do
           not fill one are lost. None: as many as there are and are asked for
    """

    def __init__(self, chunk: int | None = None) -> None:
        self._chunk = chunk
        self._items: deque[Any] = deque()  # chunks, if there are such
        self._taken = 0  # under the lock
        # A lock of tasks, since a finalizer that runs meanwhile may suspend.
        self._lock = _core.Lock()
        self._total: int | None = None  # by the puller, at its end
        self._is_cut = False

    def take(self, most: int) -> Block[Any] | None:
        items = self._items
        if not items or self._is_cut:
            return None
        with self._lock:
            first = self._taken
            if self._chunk is not None:
                block = items.popleft() if items else []
            else:
                block = [items.popleft() for _ in range(min(most, len(items)))]
            self._taken += len(block)
        return Block(first, len(block), (block,)) if block else None

    def ends_at(self, count: int) -> bool:
        if self._total is not None and count >= self._total:
            return True
        if self._is_cut and count >= self._taken:
            _raise_cut()
        return False

    def cut(self) -> None:
        self._is_cut = True

    def _cut_up(self, iterable: Iterable[Any]) -> Iterator[list[Any]]:
        iterator = iter(iterable)
        while chunk := list(islice(iterator, self._chunk)):
            yield chunk

    def pull(self, iterable: Iterable[Any], feed: "Feed[Any]") -> None:
        """Pull all items, and let lanes know of them. The body of a task.

        An error of the iterable is the result after all others.
        """
        count = 0
        turn_ns = perf_counter_ns() + _SHORT_NS
        append = self._items.append
        error: BaseException | None = None
        try:
            for item in iterable if self._chunk is None else self._cut_up(iterable):
                append(item)
                count += 1 if self._chunk is None else len(item)
                feed.invite()
                if self._is_cut:
                    break
                if perf_counter_ns() >= turn_ns:
                    _core.yield_now()  # to lanes that have no other thread
                    turn_ns = perf_counter_ns() + _SHORT_NS
        except BaseException as raised:
            error = raised
        if error is not None and not isinstance(error, Cancelled):
            block: Block[Any] = Block(count, 1, ())
            block.parts = [([], error)]
            count += 1
            feed.publish(block)
        if isinstance(error, Cancelled):
            feed.cut()
        elif error is not None or not self._is_cut:
            self._total = count
        feed.look()
        if error is not None and not isinstance(error, Exception):
            raise error


class Feed(Generic[_R]):
    """The calls of fn for the items of a source; a subclass knows which block is next.

    roster   whose tasks the lanes are
    starred  whether an item holds the arguments of a call: fn(*item)
    grain    how many items a block has; None: as many as take about 200 microseconds
    """

    def __init__(
        self,
        roster: _core._Roster,
        fn: Callable[..., _R],
        source: Source,
        *,
        starred: bool = False,
        grain: int | None = None,
    ) -> None:
        self._roster = roster
        self._fn = fn
        self._source = source
        self._starred = starred
        self._fixed_grain = grain
        self._size = grain or 1  # of the next block, as far as anybody knows
        self._is_offered = AtomicInt()  # whether a lane is about to start
        self._given = 0  # items; the consumer's
        # What the consumer sleeps for. It sets that and then looks, who publishes does
        # so and then looks at that: so one of them sees the other.
        self._awaited = AtomicInt(_NOBODY)
        self._waiter = Waiter()

    # ---- what subclasses know ------------------------------------------------------

    def _put(self, block: Block[_R]) -> int:
        """Keep a block; return what a consumer awaits who waits for it alone."""
        raise NotImplementedError

    def _get(self) -> Block[_R] | None:
        """Return the next block, if it is there. By the consumer."""
        raise NotImplementedError

    def _wanted(self) -> int:
        """Return what the consumer waits for; not `_NOBODY`."""
        raise NotImplementedError

    # ---- lanes ---------------------------------------------------------------------

    def start(self) -> bool:
        """Let the calls begin; return False if the roster is closed."""
        self._is_offered.store(1)
        return self._offer(self._roster._spawn)

    def invite(self) -> None:
        """Have somebody call for what there is, unless it is offered already.

        By a lane, or another task of the roster.
        """
        if self._is_offered.load() == 0 and self._is_offered.exchange(1) == 0:
            self._offer(self._roster._spawn_more)

    def _offer(self, spawn: Callable[..., Task[None] | None]) -> bool:
        lane = _core._aside(spawn, _core._aside, self._serve)
        if lane is None:
            return False
        lane.add_done_callback(self._hear)
        return True

    def _hear(self, lane: Task[None]) -> None:
        if lane.cancelled():  # by somebody else, perhaps before it has begun
            self.cut()

    def _serve(self) -> None:
        """Call for blocks until there are none."""
        self._is_offered.exchange(0)
        block = self._source.take(self._size)
        if block is None:
            return
        self.invite()
        fn = own(self._fn)
        while block is not None:
            self._call(fn, block)
            block = None  # the consumer's
            _core._take_turn()
            block = self._source.take(self._size)

    def _call(self, fn: Callable[..., _R], block: Block[_R]) -> None:
        begun = perf_counter_ns()
        try:
            self._call_each(fn, block)
        except BaseException as error:
            self.cut()
            if isinstance(error, Cancelled):
                error = CancelledError("the task that made the call was cancelled")
            block.parts.append(([], error))
            raise
        finally:
            block.columns = ()
            self.publish(block)
        if self._fixed_grain is None:
            self._learn(perf_counter_ns() - begun, block.count)

    def _call_each(self, fn: Callable[..., _R], block: Block[_R]) -> None:
        columns = block.columns
        calls: Iterator[_R] = (
            starmap(fn, columns[0]) if self._starred else map(fn, *columns)
        )
        left = block.count
        while left > 0:
            results: list[_R] = []
            error: Exception | None = None
            try:
                results.extend(calls)  # up to the first call that raises
            except Exception as raised:
                error = raised
            except BaseException:
                block.parts.append((results, None))
                raise
            left -= len(results)
            if error is None and left > 0:
                error = RuntimeError("the function of a map raised StopIteration")
            left -= error is not None
            block.parts.append((results, error))

    def _learn(self, spent_ns: int, count: int) -> None:
        """Choose the size of the next block by the time that one took."""
        if spent_ns < _SHORT_NS:
            times = 8 if spent_ns < _SHORT_NS // 8 else 2
            self._size = min(max(self._size, times * count), _LONGEST)
        elif spent_ns > _LONG_NS:
            self._size = max(1, count // 2)

    def publish(self, block: Block[_R]) -> None:
        """Let the consumer have a block."""
        awaited = self._put(block)
        if self._awaited.compare_exchange(awaited, _NOBODY):
            self._waiter.wake()

    def look(self) -> None:
        """Have the consumer look how things are."""
        if self._awaited.exchange(_NOBODY) != _NOBODY:
            self._waiter.wake()

    def cut(self) -> None:
        """Begin no call any more. Any thread; takes no lock. Not a suspension point."""
        self._source.cut()
        self.look()

    # ---- the consumer --------------------------------------------------------------

    def take(self, deadline: float | None = None) -> Parts[_R] | None:
        """Wait for the next block and return what came of it; None: that were all.

        deadline  when to raise TimeoutError, as `time.monotonic` counts

        Raises CancelledError in place of a call that was not begun before a cut, and
        Cancelled. A suspension point, if it has to wait.
        """
        while True:
            block = self._get()
            if block is None and not self._source.ends_at(self._given):
                self._awaited.exchange(self._wanted())
                block = self._get()
                if block is None and not self._source.ends_at(self._given):
                    self._sleep(deadline)
                    continue
                self._awaited.exchange(_NOBODY)
            if block is None:
                return None
            self._given += block.count
            return block.parts

    def _sleep(self, deadline: float | None) -> None:
        try:
            if deadline is None:
                self._waiter.park()
            elif not self._waiter.park(max(0.0, deadline - monotonic())):
                raise TimeoutError
        finally:
            self._awaited.exchange(_NOBODY)


class OrderedFeed(Feed[_R]):
    """Blocks in the order of the items."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._blocks: dict[int, Block[_R]] = {}  # by their first index

    def _put(self, block: Block[_R]) -> int:
        self._blocks[block.first] = block
        return _ANYTHING + block.first

    def _get(self) -> Block[_R] | None:
        return self._blocks.pop(self._given, None)

    def _wanted(self) -> int:
        return _ANYTHING + self._given


class UnorderedFeed(Feed[_R]):
    """Blocks in the order in which they end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._blocks: deque[Block[_R]] = deque()

    def _put(self, block: Block[_R]) -> int:
        self._blocks.append(block)
        return _ANYTHING

    def _get(self) -> Block[_R] | None:
        return self._blocks.popleft() if self._blocks else None

    def _wanted(self) -> int:
        return _ANYTHING
