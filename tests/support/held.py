"""A call that runs until it is let go."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")

PATIENCE = 60  # seconds: a hang guard


class Held(Generic[_T]):
    """A call that has begun, and holds its thread until `may_end` is set.

    submit   has it called
    outcome  what submit has returned: its future, say, of the result "ended"
    """

    def __init__(self, submit: Callable[[Callable[[], str]], _T]) -> None:
        self._begun = threading.Event()
        self.may_end = threading.Event()
        self.outcome = submit(self._run)
        assert self._begun.wait(PATIENCE)

    def _run(self) -> str:
        self._begun.set()
        assert self.may_end.wait(PATIENCE)
        return "ended"
