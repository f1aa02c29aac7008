"""Interrupts at each place of our Python code where a signal handler can raise.

    for interrupted in at_each_call(groups, waits):
        with interrupted:
            race(int)
        ...  # whatever must hold after that, interrupted or not

The body is run again and again, the first time with an interrupt at the first place
that this thread gets to, then at the second, until it gets to its end.

`at_each_call` interrupts at the beginnings and ends of calls in these modules: Python
looks for signals there, and where a loop jumps back. `at_each_line` interrupts before
each line of these functions, and before each instruction where Python tells of those.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType, TracebackType
from typing import Any

MOST = 2000  # places in a body that gets to its end


class Interrupt(KeyboardInterrupt):
    """What the signal handler raises."""


class _At(ABC):
    def __init__(self, place: int, watch: Any) -> None:
        self.place = place  # the body has got to so many before
        self._left = place
        self.came = False
        # Before 3.12 the interpreter holds no reference of its own while it makes the
        # frame that it will call this with. If that starts a collection, and a
        # finalizer gets to the place, the function has been taken off by then.
        self._watch = watch

    def _pass_place(self) -> None:
        self._left -= 1
        if self._left == -1:
            self.came = True
            raise Interrupt

    @abstractmethod
    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._restore()
        return isinstance(error, Interrupt)

    @abstractmethod
    def _restore(self) -> None: ...


class _AtCall(_At):
    def __init__(self, place: int, modules: tuple[ModuleType, ...]) -> None:
        super().__init__(place, self._profile)
        self._files = {module.__file__ for module in modules}

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event not in ("call", "c_call") and frame.f_code.co_filename in self._files:
            self._pass_place()

    def __enter__(self) -> None:
        self._before = sys.getprofile()
        sys.setprofile(self._watch)

    def _restore(self) -> None:
        sys.setprofile(self._before)


class _AtLine(_At):
    def __init__(self, place: int, functions: tuple[Callable[..., object], ...]):
        super().__init__(place, self._trace)
        self._code = {function.__code__ for function in functions}

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code not in self._code:
            return None
        frame.f_trace_opcodes = True
        if event in ("line", "opcode", "return"):  # 3.12 may tell of lines alone
            self._pass_place()
        return self._trace

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._watch)

    def _restore(self) -> None:
        sys.settrace(self._before)


def _at_each(make: Callable[[int], _At]) -> Iterator[_At]:
    for place in range(MOST):
        at = make(place)
        yield at
        if not at.came:
            return
    raise AssertionError("the body never gets to its end")


def at_each_call(*modules: ModuleType) -> Iterator[_At]:
    return _at_each(lambda place: _AtCall(place, modules))


def at_each_line(*functions: Callable[..., object]) -> Iterator[_At]:
    return _at_each(lambda place: _AtLine(place, functions))


def interrupt_start(where: str = "_acquire_restore") -> None:
    """Interrupt this thread once, at the beginning of this method of Condition.

    That is in its wait for the start of the next thread, which comes only then.
    """
    bootstrap = threading.Thread._bootstrap  # type: ignore[attr-defined]

    def late(thread: Any) -> None:
        while not thread._started._cond._waiters:
            time.sleep(0.001)
        bootstrap(thread)

    def trace(frame: FrameType, _event: str, _: object) -> None:
        if frame.f_code.co_name == where:
            sys.settrace(None)
            raise Interrupt

    threading.Thread._bootstrap = late  # type: ignore[attr-defined]
    sys.settrace(trace)
