"""Time limits on a block of code."""

from typing import TYPE_CHECKING, cast

from taskrt import _core
from taskrt._core import CancelScope
from taskrt._deadlines import deadline_after

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["fail_after", "move_on_after"]


def move_on_after(seconds: float | None) -> CancelScope:
    """Return a scope that is cancelled after some seconds: with move_on_after(5):

    seconds  from this call on; None for no limit

    The block ends at its first checkpoint after that, without an error; then the
    scope's `cancelled_caught` is true. Its `deadline`, on the clock of
    `time.monotonic`, may be set to another time meanwhile. Raises ValueError if seconds
    is negative or NaN, TypeError if it is no number. Not a suspension point; any
    thread. Source: Trio.

    >>> from taskrt import move_on_after, sleep
    >>> with move_on_after(0.001) as scope:
    ...     sleep(60)
    >>> scope.cancelled_caught
    True
    """
    if seconds is None:
        return CancelScope()
    return CancelScope(deadline=deadline_after("seconds", seconds))


# So typed, a block is not taken for one that may end early without an error.
def fail_after(seconds: float | None) -> "AbstractContextManager[CancelScope, None]":
    """Return a `move_on_after` that raises TimeoutError: with fail_after(5) as scope:

    seconds  from this call on; None for no limit

    Only if the block was ended by this limit, not by a scope around it, another's
    TimeoutError, or an error of its own. What is entered is the `CancelScope`, whose
    `deadline` may be set. Raises what `move_on_after` does. Not a suspension point;
    any thread. Source: Trio.

    >>> from taskrt import fail_after, sleep
    >>> with fail_after(0.001):
    ...     sleep(60)
    Traceback (most recent call last):
    TimeoutError: the block was not done after 0.001 seconds
    """
    scope = move_on_after(seconds)
    _core._raise_when_caught(scope, seconds)
    return cast("AbstractContextManager[CancelScope, None]", scope)
