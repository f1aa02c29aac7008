"""Interrupts at each place of our Python code where a signal handler can raise.

    for interrupted in at_each_step(groups, waits):
        with interrupted:
            race(int)
        ...  # whatever must hold after that, interrupted or not

The body is run again and again, the first time with an interrupt at the first beginning
or end of a call in these modules that this thread gets to, then at the second, until it
gets to its end. Python looks for signals there, and where a loop jumps back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType, ModuleType, TracebackType


class Interrupt(KeyboardInterrupt):
    """What the signal handler raises."""


class _At:
    def __init__(self, step: int, modules: tuple[ModuleType, ...]) -> None:
        self._left = step
        self._files = {module.__file__ for module in modules}
        self.came = False

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event in ("call", "c_call") or frame.f_code.co_filename not in self._files:
            return
        self._left -= 1
        if self._left == -1:
            self.came = True
            raise Interrupt

    def __enter__(self) -> None:
        sys.setprofile(self._profile)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        sys.setprofile(None)
        return isinstance(error, Interrupt)


def at_each_step(*modules: ModuleType, most: int = 2000) -> Iterator[_At]:
    for step in range(most):
        at = _At(step, modules)
        yield at
        if not at.came:
            return
    raise AssertionError("the body never gets to its end")
