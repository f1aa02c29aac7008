"""Raise in a function wherever a signal handler might, one place after another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any


class Interrupt(BaseException):
    """What the signal handler raises."""


def _raise_at(place: int, code: set[CodeType]) -> Callable[..., Any]:
    """Return a trace function that raises before step number `place`."""
    left = place

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code not in code:
            return None
        frame.f_trace_opcodes = True
        if event in ("line", "opcode", "return"):  # 3.12 may tell of lines alone
            if left == 0:
                raise Interrupt
            left -= 1
        return trace

    return trace


def interrupt_everywhere(
    functions: list[Callable[..., object]],
    call: Callable[[], object],
    check: Callable[[], object],
) -> int:
    """Run call() again and again, interrupted once, each time at a later step.

    functions  of Python, in which it is interrupted
    check      called after each

    Return in how many places that was.
    """
    code = {function.__code__ for function in functions}
    place = 0
    while True:
        before = sys.gettrace()
        sys.settrace(_raise_at(place, code))
        try:
            call()
        except Interrupt:
            place += 1
            continue
        finally:
            sys.settrace(before)
            check()
        return place
