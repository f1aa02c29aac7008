"""Steps that happen in a given order, whichever thread takes them.

    step = Sequencer()

    def first():
        with step(0):
            ...
        with step(2):
            ...

    def second():
        with step(1):
            ...

A step blocks its thread until the steps before it are done, so two steps that wait for
each other belong on two threads. A step that fails, or whose turn never comes, ends the
waiting of all the others with an error.
"""

import contextlib
import threading
from collections.abc import Iterator


class SequenceError(AssertionError):
    """A step was taken twice, or could not be taken."""


class Sequencer:
    """Hands out the steps 0, 1, 2, ... in this order."""

    def __init__(self, timeout: float = 60) -> None:
        self._timeout = timeout
        self._turn = threading.Condition()
        self._next = 0
        self._claimed: set[int] = set()
        self._failure: str | None = None

    @contextlib.contextmanager
    def __call__(self, step: int) -> Iterator[None]:
        self._await(step)
        try:
            yield
        except BaseException as error:
            self._fail(f"step {step} failed with {error!r}")
            raise
        with self._turn:
            self._next += 1
            self._turn.notify_all()

    def _await(self, step: int) -> None:
        with self._turn:
            if step in self._claimed:
                raise SequenceError(f"step {step} was taken twice")
            self._claimed.add(step)
            self._turn.wait_for(
                lambda: self._next == step or self._failure, self._timeout
            )
            if self._failure:
                raise SequenceError(f"step {step} never came: {self._failure}")
            if self._next == step:
                return
            reason = f"step {self._next} was not done after {self._timeout} s"
        self._fail(reason)
        raise SequenceError(f"step {step} never came: {reason}")

    def _fail(self, reason: str) -> None:
        with self._turn:
            self._failure = self._failure or reason
            self._turn.notify_all()
