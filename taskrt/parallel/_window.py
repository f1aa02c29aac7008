"""The window of a lazy map: what was pulled from the input and not yet taken.

Three parts, each a role:

* The *puller* is a task that takes items from the input until the window is full, and
  cuts them into blocks. There is one at a time, so that the input may be a generator;
  it waits for nothing but the input, so none is left when a map is given up.
* A *block* is a task that calls the function for a few items. All are born into a scope
  of the map's own, that of a family which is entered only to be closed: so they outlive
  the step of the consumer that has let the input be pulled, and end together.
* The *consumer* takes blocks when they have ended, and lets go of one when it comes for
  the next. It alone starts a puller where there is none.

An input may wait, even for the results of items that it has given out. So what was
pulled does not lie about until a block is full: a consumer with nothing to wait for
takes it as a block, and while it waits for the first item the puller hands over to
another puller at each item, and ends, which wakes the consumer.
"""

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import islice
from time import perf_counter_ns
from typing import Any, Generic, TypeVar

from taskrt import _core
from taskrt._core import CancelScope, Task
from taskrt.errors import Cancelled, CancelledError

_R = TypeVar("_R")

# A block costs some microseconds, spread over the consumer, the puller and itself.
_BLOCK_NS = 200_000
_LONGEST = 4096  # items of a block, unless the caller says so
_GROWTH = 4
_MOST = 1 << 48  # items of a block or the window: more need not be counted

# What the consumer waits for when it waits for the puller: then that hands over to
# another when it has that, and ends.
_FOR_NOTHING, _FOR_A_BLOCK, _FOR_AN_ITEM = range(3)
_PATIENCE = 2e-4  # seconds for a block, before it is for an item


class Block(Generic[_R]):
    """Some neighbouring items, and what came of them."""

    __slots__ = ("elapsed_ns", "error", "items", "results", "size", "task")

    def __init__(self, items: list[Any]) -> None:
        self.items = items  # the task's, which drops them at its end
        self.size = len(items)
        self.results: deque[_R] = deque()
        self.error: BaseException | None = None  # after these results
        self.elapsed_ns = 0
        self.task: Task[None]  # by the window, before anybody sees the block


class Calls(Generic[_R]):
    """How a block calls the function: fn(item), fn(*item), fn(scratch, item), ..."""

    __slots__ = ("_fn", "_init", "_unpack")

    def __init__(
        self, fn: Callable[..., _R], init: Callable[[], object] | None, unpack: bool
    ) -> None:
        self._fn = fn
        self._init = init
        self._unpack = unpack

    def run(self, block: Block[_R], window: "Window[_R]") -> None:
        """Call it for the items of a block, until one fails or nobody wants them."""
        init = self._init
        fn = self._fn if init is None else partial(self._fn, init())
        append = block.results.append
        if self._unpack:
            for args in block.items:
                if window.stopped:
                    return
                append(fn(*args))
        else:
            for item in block.items:
                if window.stopped:
                    return
                append(fn(item))


class Window(Generic[_R]):
    """Pulls, cuts, and runs blocks in tasks; a subclass knows which block is next.

    source   the input; if it is `plain`, neither its items cost anything nor can it
             wait
    buffer   how many items the window holds, None: twice as many blocks as threads
    grain    how many items a block has at most, None: by the time that they take

    `take` is called by one consumer at a time. `stop` and `close` any thread.
    """

    def __init__(
        self,
        calls: Calls[_R],
        source: Iterator[Any],
        plain: bool,
        buffer: int | None,
        grain: int | None,
    ) -> None:
        self._calls = calls
        self._source = source
        self._plain = plain
        self._buffer = None if buffer is None else min(buffer, _MOST)
        self._fixed_grain = None if grain is None else min(grain, _MOST)
        self._family = _core._Family()
        self._context = contextvars.copy_context()
        # Guards the cut, whoever makes it, and the look of close() at what there is.
        # A lock of tasks, since a finalizer that runs meanwhile may suspend. Taking it
        # is a checkpoint: nobody holds anything that is not written down then.
        self._lock = _core.Lock()
        self._loose: deque[Any] = deque()  # pulled and in no block
        self._pulled = 0  # items; the puller's
        self._puller: Task[None] | None = None  # by the consumer, or by itself
        self._exhausted = False  # by the puller, after its last cut
        self._input_error: BaseException | None = None  # the same
        self._appetite = _FOR_NOTHING  # when the puller hands over; the consumer's
        self._let_go = 0  # items; the consumer's
        self._grain = self._fixed_grain or 1  # the consumer's
        self._costs: deque[float] = deque(maxlen=4)  # ns an item, of the last blocks
        self._given: Block[_R] | None = None  # what the consumer is at
        self.stopped = False
        self._pid = os.getpid()
        self._closing = _core.Lock()
        self._closed = False  # under that

    # ---- what subclasses know ------------------------------------------------------

    def _add(self, block: Block[_R]) -> None:
        """Keep a block, whose task may have ended already. Under the lock."""
        raise NotImplementedError

    def _hear_puller(self, puller: Task[None]) -> None:
        """Hear of a puller, before it ends."""

    def _blocks(self) -> Collection[Block[_R]]:
        """Return all that were added and not taken. Under the lock."""
        raise NotImplementedError

    def _next(self) -> Block[_R] | None:
        """Wait for the next block and take it out; None: look again. By the consumer.

        Calls `_wait_for_input` if there is no block.
        """
        raise NotImplementedError

    # ---- the consumer --------------------------------------------------------------

    def is_parents(self) -> bool:
        """Whether it was made before a fork: another thread may hold its locks then."""
        return os.getpid() != self._pid

    def take(self) -> Block[_R] | None:
        """Return the next block, whose task has ended; None at the end of all.

        Raises the error of the input at its end, Cancelled. A suspension point.
        """
        self._let_go_of_given()
        while not self.stopped:
            exhausted = self._exhausted
            if exhausted and not self._has_block():
                self._finish()
                return None
            self._refill()
            block = self._next()
            if block is not None and not self.stopped:
                self._given = block
                return block
        return None

    def _let_go_of_given(self) -> None:
        block, self._given = self._given, None
        if block is None:
            return
        self._let_go += block.size
        if self._fixed_grain is None:
            self._costs.append(block.elapsed_ns / block.size)
            # Least of some: a thread that had to wait for the GIL looks slow.
            fitting = int(_BLOCK_NS / max(1.0, min(self._costs)))
            self._grain = max(1, min(fitting, self._grain * _GROWTH, _LONGEST))

    def _finish(self) -> None:
        self.stopped = True
        self._source = iter(())
        error, self._input_error = self._input_error, None
        if error is not None:
            try:
                raise error
            finally:
                error = None  # it refers to this frame

    def _sizes(self) -> tuple[int, int]:
        """Return how many items the window has room for in all, and a block."""
        spread = 2 * _core.num_threads()
        if self._buffer is None:
            return spread * self._grain, self._grain
        if self._fixed_grain is None:
            return self._buffer, max(1, min(self._grain, self._buffer // spread))
        return self._buffer, min(self._grain, self._buffer)

    def _refill(self) -> None:
        """Have somebody pull, if there is room for a block."""
        if self._exhausted or not (self._puller is None or self._puller.done()):
            return
        size, grain = self._sizes()
        room = size - (self._pulled - self._let_go)
        if room >= grain:
            self._start_puller(room, grain)

    def _start_puller(self, room: int, grain: int) -> None:
        with self._lock:
            if not self.stopped:
                self._puller = self._spawn(self._pull, room, grain)
                self._hear_puller(self._puller)

    def _wait_for_input(self) -> None:
        """Wait until there is a block, or the puller has ended. By the consumer."""
        puller = self._puller
        if puller is None:
            return
        try:
            self._appetite = _FOR_A_BLOCK
            if not self._has_block():
                _core._wait_all([puller], _PATIENCE)
            self._appetite = _FOR_AN_ITEM
            if not self._has_block() and not self._cut(_LONGEST):
                _wait_for(puller)
        finally:
            self._appetite = _FOR_NOTHING
        _raise_if_cancelled(puller, self)

    def _has_block(self) -> bool:
        """Look under the lock: whoever adds one later sees the appetite before this."""
        with self._lock:
            return bool(self._blocks())

    # ---- the puller ----------------------------------------------------------------

    def _pull(self, room: int, grain: int) -> None:
        """Pull so many items, in a task of its own."""
        before = self._pulled
        try:
            has_more = (self._pull_plain if self._plain else self._pull_any)(
                room, grain
            )
        except Cancelled:
            raise
        except BaseException as error:
            self._input_error = error
            has_more = False
        left = room - (self._pulled - before)
        # Less than none: an interrupt has lost a puller, and another has come as well.
        if has_more and left > 0:  # the consumer waits
            self._start_puller(left, grain)
        elif not self.stopped:
            while self._cut(grain):
                pass
            self._exhausted = not has_more

    def _pull_any(self, room: int, grain: int) -> bool:
        """Return whether there may be more, when the window is full or one waits."""
        loose = self._loose
        append = loose.append
        count = 0
        try:
            for item in islice(self._source, room):
                append(item)
                count += 1
                appetite = self._appetite
                if appetite == _FOR_AN_ITEM or len(loose) >= grain:
                    self._cut(grain)
                    if self._appetite or self.stopped:
                        return True
        finally:
            self._pulled += count
        return count == room

    def _pull_plain(self, room: int, grain: int) -> bool:
        while room:
            items = list(islice(self._source, min(room, grain)))
            self._pulled += len(items)
            room -= len(items)
            with self._lock:
                if not items or not self._start_block(items):
                    return False
        return True

    # ---- blocks --------------------------------------------------------------------

    def _cut(self, most: int) -> bool:
        """Make a block of what was pulled, if there is something."""
        with self._lock:
            loose = self._loose
            items = [loose.popleft() for _ in range(min(most, len(loose)))]
            try:
                return bool(items) and self._start_block(items)
            except BaseException:  # there is no memory for a task
                loose.extendleft(reversed(items))
                raise

    def _start_block(self, items: list[Any]) -> bool:
        """Under the lock."""
        if self.stopped:
            return False
        block: Block[_R] = Block(items)
        block.task = self._spawn(self._run, block)
        self._add(block)
        return True

    def _spawn(self, fn: Callable[..., None], *args: object) -> Task[None]:
        """Call fn(*args) in a task of the map, in the context that it was made in."""
        return self._context.copy().run(self._family._adopt, fn, *args)

    def _run(self, block: Block[_R]) -> None:
        started = perf_counter_ns()
        try:
            self._calls.run(block, self)
        except BaseException as error:
            block.error = error
            if isinstance(error, Cancelled):
                raise
        finally:
            block.elapsed_ns = perf_counter_ns() - started
            block.items = []

    # ---- the end -------------------------------------------------------------------

    def stop(self) -> None:
        """Pull no more, start no more, ask what runs to end. Takes no lock: finalizers
        call it. Not a suspension point."""
        self.stopped = True
        self._family._scope.cancel("its lazy map was closed")

    def refuse_inside(self) -> None:
        """Raise RuntimeError in a task of the map."""
        if not self.is_parents() and self._family._is_around():
            raise RuntimeError(
                "what runs in a lazy map cannot wait for its end: close imap() outside "
                "of its function and its input"
            )

    def close(self) -> list[BaseException]:
        """Stop, wait for what runs, and return the errors of blocks that were not
        taken. A suspension point, but no checkpoint. RuntimeError, and nothing done, in
        a task of the map."""
        self.refuse_inside()
        self.stop()
        if self.is_parents():
            return []
        with CancelScope(shield=True), self._closing:
            if not self._closed:
                # Its end waits for all that were born into it, and takes their end.
                with self._family:
                    pass
                self._closed = True
            with self._lock:
                blocks = list(self._blocks())
        self._source = iter(())
        self._loose.clear()
        errors = (block.error for block in blocks)
        return [error for error in errors if not isinstance(error, Cancelled | None)]


class OrderedWindow(Window[_R]):
    """Blocks in the order of the input."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._queue: deque[Block[_R]] = deque()

    def _add(self, block: Block[_R]) -> None:
        self._queue.append(block)

    def _blocks(self) -> Collection[Block[_R]]:
        return self._queue

    def _next(self) -> Block[_R] | None:
        if not self._queue:
            self._wait_for_input()
            return None
        block = self._queue[0]
        if not block.task.done():
            _wait_for(block.task)
        _raise_if_cancelled(block.task, self, block)
        with self._lock:
            self._queue.popleft()
        return block


class UnorderedWindow(Window[_R]):
    """Blocks in the order in which they end."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._live: dict[Task[None], Block[_R]] = {}
        self._arrivals: _core._Arrivals[None] = _core._Arrivals(None)

    def _add(self, block: Block[_R]) -> None:
        self._live[block.task] = block
        self._arrivals._add(block.task)

    def _hear_puller(self, puller: Task[None]) -> None:
        self._arrivals._add(puller)

    def _blocks(self) -> Collection[Block[_R]]:
        return self._live.copy().values()

    def _next(self) -> Block[_R] | None:
        if not self._live:
            self._wait_for_input()
        if is_alone():
            tasks = list(self._live.copy())
            if tasks and not any(task.done() for task in tasks):
                _core.wait(tasks[0])
        task = next(self._arrivals, None)
        if task is None:
            return None
        block = self._live.pop(task, None)  # not under the lock, a checkpoint
        if block is not None:
            _raise_if_cancelled(task, self, block)
        return block


def is_alone() -> bool:
    """Whether this is a plain thread beside a pool that has none: main may be busy."""
    return (
        _core.num_threads() == 1
        and _core.current_task() is None
        and threading.current_thread() is not threading.main_thread()
    )


def _wait_for(task: Task[None]) -> None:
    """Wait, without running the task on top of this stack: the consumer can be
    cancelled, the map goes on."""
    if is_alone():
        _core.wait(task)
    else:
        _core._wait_all([task], None)


def _raise_if_cancelled(
    task: Task[None], window: Window[Any], block: Block[Any] | None = None
) -> None:
    """Raise if somebody else than this map has cancelled a task of it."""
    error = block.error if block is not None else None
    if task.cancelled() and not window.stopped and error is None:
        raise CancelledError("a task of a lazy map was cancelled")
