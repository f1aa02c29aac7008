"""What libraries keep by the thread, kept by the task.

A task that waits lets others run on its thread. What code has put into a
`threading.local` for the length of a block, others then see, and whoever leaves a block
first restores what was there before another one: so it leaks. Objects of these classes
take the place of such a `threading.local`. Outside of tasks they ask the one that was
there, which keeps what it has.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

from taskrt import _core

__all__ = ["ConfigPlace", "TaskPlace"]


class TaskPlace:
    """A `threading.local` of which each task has its own, without attributes at first.

    outside  the one that code outside of tasks goes on to use
    """

    __slots__ = ("_outside",)

    def __init__(self, outside: threading.local) -> None:
        object.__setattr__(self, "_outside", outside)

    def _attributes(self) -> dict[str, Any]:
        values = _core._locals()
        if values is None:
            return cast(dict[str, Any], self._outside.__dict__)
        return cast(dict[str, Any], values.setdefault(self, {}))

    def __getattr__(self, name: str) -> Any:
        try:
            return self._attributes()[name]
        except KeyError:
            raise AttributeError(f"no attribute {name!r} in this task") from None

    def __setattr__(self, name: str, value: object) -> None:
        self._attributes()[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self._attributes()[name]
        except KeyError:
            raise AttributeError(f"no attribute {name!r} in this task") from None


class ConfigPlace:
    """The `threading.local` that has joblib's configuration, as its attribute `config`.

    outside    the one that code outside of tasks goes on to use
    is_shared  tells whether a configuration is for the tasks too that are spawned where
               it is in force: not if it has a backend that one thread alone may use
    """

    __slots__ = ("_is_shared", "_outside", "_value")

    def __init__(
        self, outside: threading.local, is_shared: Callable[[Any], bool]
    ) -> None:
        self._outside = outside
        self._is_shared = is_shared
        # The task that has set it, 0 for none, and what it has set.
        self._value: ContextVar[tuple[int, Any]] = ContextVar("joblib's configuration")

    @property
    def config(self) -> Any:
        """The configuration in force. AttributeError, as of a thread, if none is."""
        task = _core.current_task()
        if task is None and hasattr(self._outside, "config"):
            return self._outside.config
        try:
            owner, config = self._value.get()
        except LookupError:
            raise AttributeError("config") from None
        if (task is not None and owner == task.id) or self._is_shared(config):
            return config
        raise AttributeError("config")

    @config.setter
    def config(self, config: Any) -> None:
        task = _core.current_task()
        if task is None:
            self._outside.config = config
        self._value.set((0 if task is None else task.id, config))
