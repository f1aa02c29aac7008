"""imap: a map whose results are taken one by one, while others are in the making."""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from taskrt import _core
from taskrt._unique import Unique
from taskrt.errors import Cancelled, CancelledError, TaskLostError
from taskrt.parallel._blocks import as_count, check_options
from taskrt.parallel._calls import check_callable, check_callable_option
from taskrt.parallel._window import Calls, OrderedWindow, UnorderedWindow, Window
from taskrt.waits import _note_others

_R = TypeVar("_R")
_T1 = TypeVar("_T1")
_T2 = TypeVar("_T2")

# Inputs whose iterators run nobody's code and never wait. Not subclasses: they may.
_PLAIN = (list, tuple, range)


class imap(Unique, Generic[_R]):  # noqa: N801  (used as a function)
    """Yield fn(item) for each item, called in parallel, a bounded number ahead.

    fn         called with an item of each iterable, in tasks
    iterables  one or more, infinite ones too; the shortest ends it. Pulled by one task
               at a time, on any thread, from the first `next` on, and no further than
               `buffer` allows; the pull may itself wait and run in parallel
    buffer     how many items at most are pulled whose results were not taken, 1 or
               more; None: two blocks for each thread. Results are taken by the block
    ordered    True: results in the order of the items; False: as blocks end
    grain      how many items a task calls fn for, at most, 1 or more; None: as many as
               take about 200 microseconds, learnt from those before
    init       called in each task, before its first item: fn(init(), item)
    strict     whether to raise ValueError where the iterables differ in length

    The first error of fn is raised at its place if ordered, else when its block comes;
    before that the rest is cancelled and waited for, with a note on those that have
    failed too. An error of an iterable comes after all results before it. Any error
    that leaves `next` but Cancelled ends the iteration.

    `close`, which a `with` calls, stops the pulls, cancels what has not started, asks
    what runs to end and waits for it; an iterator that is dropped does so but for the
    wait. fn runs in a copy of the context that imap was called in.

    Consumed by any task or thread, also by several: each item goes to one of them.
    Raises TypeError and ValueError for wrong arguments. A call is no suspension point;
    `next` is one and a checkpoint, where it has to wait. A `next` that is cancelled
    loses nothing. Sources: Pool.imap of multiprocessing; the pull: Rayon's par_bridge.

    >>> from itertools import count
    >>> from taskrt import parallel
    >>> with parallel.imap(pow, count(), count()) as powers:
    ...     [next(powers) for _ in range(5)]
    [1, 1, 4, 27, 256]
    """

    __module__ = "taskrt.parallel"
    __slots__ = ("__weakref__", "_error", "_ready", "_turn", "_window")

    @overload
    def __init__(
        self,
        fn: Callable[[_T1], _R],
        first: Iterable[_T1],
        /,
        *,
        buffer: int | None = None,
        ordered: bool = True,
        grain: int | None = None,
        init: None = None,
        strict: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self,
        fn: Callable[[_T1, _T2], _R],
        first: Iterable[_T1],
        second: Iterable[_T2],
        /,
        *,
        buffer: int | None = None,
        ordered: bool = True,
        grain: int | None = None,
        init: None = None,
        strict: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self,
        fn: Callable[..., _R],
        /,
        *iterables: Iterable[Any],
        buffer: int | None = None,
        ordered: bool = True,
        grain: int | None = None,
        init: Callable[[], object] | None = None,
        strict: bool = False,
    ) -> None: ...
    def __init__(
        self,
        fn: Callable[..., _R],
        /,
        *iterables: Iterable[Any],
        buffer: int | None = None,
        ordered: bool = True,
        grain: int | None = None,
        init: Callable[[], object] | None = None,
        strict: bool = False,
    ) -> None:
        check_callable("imap()", fn)
        check_callable_option("imap()", "init", init)
        if not iterables:
            raise TypeError("imap() takes a callable and one iterable or more")
        grain = check_options("imap()", grain, "auto")
        buffer = as_count("imap()", "buffer", buffer)
        if len(iterables) == 1:
            source = iter(iterables[0])
        else:
            source = zip(*iterables, strict=strict)
        kind = OrderedWindow if ordered else UnorderedWindow
        self._ready: deque[_R] = deque()
        self._error: BaseException | None = None  # after what is ready
        self._turn = _core.Lock()  # of whoever looks for more
        self._window: Window[_R] = kind(
            Calls(fn, init, len(iterables) > 1),
            source,
            all(type(iterable) in _PLAIN for iterable in iterables),
            buffer,
            grain,
        )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _R:
        try:
            return self._ready.popleft()
        except IndexError:
            pass
        except BaseException:  # an interrupt, which may have lost a result
            self._give_up()
            raise
        try:
            if self._window.is_parents():
                raise TaskLostError(
                    "this imap() was made before a fork: make a new one"
                )
            with self._turn:
                return self._more()
        except (Cancelled, StopIteration):
            raise
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        self._window.stop()
        self._ready = deque()
        self._error = None

    def _more(self) -> _R:
        """Return the first result of the next block that has one."""
        while True:
            with suppress(IndexError):  # another consumer may take the last one
                return self._ready.popleft()
            error, self._error = self._error, None
            if error is not None:
                self._fail(error)
            block = self._window.take()
            if block is None:
                raise StopIteration
            self._error = block.error
            self._ready = block.results

    def _fail(self, error: BaseException) -> None:
        others = [other for other in self._window.close() if other is not error]
        _note_others(error, others)
        try:
            if isinstance(error, Cancelled):  # its task's, not this one's
                raise CancelledError("a task of imap() was cancelled") from None
            if isinstance(error, StopIteration):
                raise RuntimeError("the function of imap() raised StopIteration") from (
                    error
                )
            raise error
        finally:
            del error, others  # they refer to this frame

    def close(self) -> None:
        """End the iteration: pull no more, cancel the rest and wait for what runs.

        Waits out a cancellation of the caller. Again: does nothing. Any thread; raises
        RuntimeError in fn and in the input, which it waits for. A suspension point.
        """
        self._window.refuse_inside()
        self._give_up()
        self._window.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        window = getattr(self, "_window", None)  # __init__ may have raised
        if window is not None and not window.stopped:
            window.stop()
