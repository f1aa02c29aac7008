"""Showing how far a loop has got."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeAlias

from taskrt._core import AtomicInt
from taskrt.parallel._blocks import Body

Show: TypeAlias = Callable[[int, int], object]

# People do not read faster, and a bar in a notebook takes milliseconds.
_PERIOD_S = 0.1


class Progress:
    """How far a loop has got: counts by the block, shows now and then.

    show   called with how many of how many are done, by one task at a time
    total  how many there are
    """

    __slots__ = ("_done", "_next", "_show", "_showing", "_total")

    def __init__(self, show: Show, total: int) -> None:
        self._show = show
        self._total = total
        self._done = AtomicInt()
        self._showing = AtomicInt()  # whether somebody does: 0 or 1
        self._next = monotonic() + _PERIOD_S

    def count(self, body: Body) -> Body:
        """Return a body that does the same and counts it."""

        def counted(low: int, high: int) -> None:
            body(low, high)
            done = self._done.fetch_add(high - low) + high - low
            if monotonic() >= self._next and self._showing.compare_exchange(0, 1):
                try:
                    self._show(done, self._total)
                finally:
                    self._next = monotonic() + _PERIOD_S
                    self._showing.store(0)

        return counted

    def finish(self) -> None:
        """Show that all is done."""
        self._show(self._total, self._total)


def _make_bar(label: str | None, total: int) -> Any:
    try:
        from tqdm.auto import tqdm  # in a notebook, its own
    except ImportError as error:
        raise ImportError(
            "progress=True and a label show a bar of tqdm, which is not installed: "
            "install it (pip install taskrt[progress]), or hand over a callable "
            "progress(done, total)"
        ) from error
    return tqdm(total=total, desc=label)


@contextmanager
def shown(
    who: str, progress: bool | str | Show, total: int
) -> Iterator[Callable[[Body], Body]]:
    """Show the progress of the loop in the block: yields what makes its bodies count.

    progress  False: nothing; True: a bar of tqdm; a str: one with that label; else
              called as progress(done, total), at most ten times a second and at the end
    """
    if progress is False:
        yield lambda body: body
    elif callable(progress):
        counter = Progress(progress, total)
        yield counter.count
        counter.finish()
    elif progress is True or isinstance(progress, str):
        bar = _make_bar(progress if isinstance(progress, str) else None, total)
        try:
            counter = Progress(lambda done, _: bar.update(done - bar.n), total)
            yield counter.count
            counter.finish()
        finally:
            bar.close()
    else:
        raise TypeError(
            f"{who}: progress must be True, a label, a callable or False, not "
            f"{type(progress).__name__!r}"
        )
