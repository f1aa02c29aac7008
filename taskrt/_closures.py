"""TASKRT_DEBUG=closures: tell of variables that a task sees later than it was spawned.

A closure has variables, not their values. In `for i in r: spawn(lambda: f(i))` each
task calls f with what i is when it starts, which may be that of a later turn. So a
spawn notes what is in the variables, and the task looks again as it starts.
"""

from __future__ import annotations

import functools
import warnings
from types import CellType, FrameType, FunctionType, MethodType
from typing import Any


class _Seen:
    """What was in the variables of a closure when its task was spawned."""

    __slots__ = ("code_name", "frame_globals", "line", "path", "variables")

    def __init__(
        self,
        code_name: str,
        frame: FrameType,
        variables: list[tuple[str, CellType, object]],
    ) -> None:
        self.code_name = code_name
        self.path = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.frame_globals = frame.f_globals
        self.variables = variables


def look_at(fn: object, frame: FrameType) -> _Seen | None:
    """Note what is in the variables of `fn`, spawned by `frame`; None if it has none.

    One that is empty is left out: to give it its first value later is no mistake, since
    the task could not have had another. Not a suspension point.
    """
    function = _find_function(fn)
    if function is None or not function.__closure__:
        return None
    names = function.__code__.co_freevars
    variables = [
        (name, cell, value)
        for name, cell in zip(names, function.__closure__, strict=True)
        for value in _content_of(cell)
    ]
    return _Seen(function.__qualname__, frame, variables) if variables else None


def check(seen: _Seen) -> None:
    """Warn if one of the variables is bound to something else now.

    The objects themselves may have changed. Raises RuntimeWarning if the filters of
    `warnings` say so. Not a suspension point.
    """
    changed = [
        repr(name)
        for name, cell, value in seen.variables
        if not any(now is value for now in _content_of(cell))
    ]
    seen.variables.clear()  # what they held need not outlive them
    if changed:
        names = " and ".join(changed)
        arguments = ", ".join(name.strip("'") for name in changed)
        warnings.warn_explicit(
            f"{names} of {seen.code_name} got another value after the spawn at "
            f"{seen.path}:{seen.line} and before the task started, which sees the new "
            f"one; to give it the old one, pass it as an argument: "
            f"spawn(fn, {arguments})",
            RuntimeWarning,
            seen.path,
            seen.line,
            module=seen.frame_globals.get("__name__"),
            registry=seen.frame_globals.setdefault("__warningregistry__", {}),
        )


def _find_function(fn: Any) -> FunctionType | None:
    while not isinstance(fn, FunctionType):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, (MethodType, staticmethod)):
            fn = fn.__func__
        else:
            return None
    return fn


def _content_of(cell: CellType) -> list[object]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []
