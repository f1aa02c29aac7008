"""Cancelling from afar: the source can ask, the token can only be asked."""

from __future__ import annotations

import weakref

from taskrt._core import CancelScope, Event, Operation
from taskrt._unique import Unique

__all__ = ["CancelSource", "CancelToken"]


class CancelToken(Unique):
    """What is handed to code that is to end when a `CancelSource` says so.

    That code puts what it does under `scope()`, or looks, or waits; it cannot cancel
    the others that have the token. Comes from `CancelSource.token`. All of it may be
    called from any thread.
    """

    __module__ = "taskrt"
    __slots__ = ("__weakref__", "_event", "_reasons", "_scopes")

    # No lock: who makes a scope notes it and then looks at the event; who cancels sets
    # the event and then looks at the scopes. One of them sees the other.

    def __init__(self) -> None:
        self._event = Event()
        self._reasons: list[object] = []
        self._scopes: dict[weakref.ref[CancelScope], None] = {}

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "not cancelled"
        return f"<taskrt.CancelToken: {state}>"

    @property
    def cancelled(self) -> bool:
        """Whether its source was cancelled. Not a suspension point."""
        return self._event.is_set()

    @property
    def reason(self) -> object:
        """What the source was told the first time, or None. Not a suspension point."""
        return self._reasons[0] if self._reasons else None

    def scope(self) -> CancelScope:
        """Return a scope that the source cancels: with token.scope():

        A new one for each block. If the source was cancelled before, the block ends at
        its first checkpoint. Not a suspension point.
        """
        scope = CancelScope()
        self._scopes[weakref.ref(scope, self._scopes.pop)] = None
        if self.cancelled:
            scope.cancel(self.reason)
        return scope

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the source is cancelled; False if time is up before.

        timeout  seconds to wait at most, None for no limit

        Raises Cancelled: at once, under a scope of this very token that was cancelled.
        A suspension point and a checkpoint.
        """
        return self._event.wait(timeout)

    def wait_op(self) -> Operation[bool]:
        """Return the same for `select`, with the value True."""
        return self._event.wait_op()

    def _cancel(self, reason: object) -> None:
        self._reasons.append(reason)
        self._event.set()
        for alive in list(self._scopes):
            scope = alive()
            if scope is not None:
                scope.cancel(self.reason)


class CancelSource(Unique):
    """Cancels whatever runs under its `token`, wherever that is.

    For a library that is given a token and must not be able to cancel its caller. Once
    cancelled it stays so. Sources: Julia's CancellationToken, the cancellation tokens
    of .NET.

    >>> from taskrt import CancelSource, fetch, sleep, spawn
    >>> def fetch_page(token):
    ...     with token.scope() as scope:
    ...         sleep(60)
    ...     return "gave up" if scope.cancelled_caught else "done"
    >>> source = CancelSource()
    >>> task = spawn(fetch_page, source.token)
    >>> source.cancel("nobody needs it")
    >>> fetch(task)
    'gave up'
    """

    __module__ = "taskrt"
    __slots__ = ("__weakref__", "token")

    def __init__(self) -> None:
        self.token = CancelToken()

    def __repr__(self) -> str:
        return f"<taskrt.CancelSource of {self.token!r}>"

    def cancel(self, reason: object = None) -> None:
        """Cancel all blocks under the token, now and later.

        reason  what their `Cancelled` says; that of the first call counts

        Again, it asks those that an interrupted call has left out. Any thread. Not a
        suspension point.
        """
        self.token._cancel(reason)
