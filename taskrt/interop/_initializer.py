"""What an executor or a pool calls in each thread before the first call there."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures.thread import BrokenThreadPool
from typing import Any, ParamSpec, TypeVar

from taskrt import _core

__all__ = ["Initializer"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Initializer:
    """Calls fn(*args) once a thread, on behalf of calls that come there.

    most  after how many calls a thread is to have it anew; None: never

    If fn raises, that is logged, and that call and all later ones raise
    BrokenThreadPool.
    """

    def __init__(
        self, fn: Callable[..., object], args: tuple[Any, ...], most: int | None = None
    ) -> None:
        if not callable(fn):
            raise TypeError(
                f"initializer must be a callable or None, not {type(fn).__name__!r}"
            )
        self._fn = fn
        self._args = args
        self._most = most
        self._here = threading.local()
        self.broken: str | None = None

    def call(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return fn(*args, **kwargs), called on a thread that is ready."""
        self.check()
        here = self._here.__dict__
        if here.get("left", 0) == 0:
            # Other tasks of this thread may come while fn waits.
            with here.setdefault("lock", _core.Lock()):
                if here.get("left", 0) == 0:
                    self._initialize()
                    here["left"] = self._most or -1
        here["left"] -= 1
        self.check()
        return fn(*args, **kwargs)

    def _initialize(self) -> None:
        try:
            self._fn(*self._args)
        except BaseException:
            logging.getLogger("concurrent.futures").critical(
                "Exception in initializer:", exc_info=True
            )
            self.broken = (
                "A thread initializer failed, the thread pool is not usable anymore"
            )

    def check(self) -> None:
        """Raise BrokenThreadPool if fn has raised."""
        if self.broken is not None:
            raise BrokenThreadPool(self.broken)
