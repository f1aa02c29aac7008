"""What a loop over items does with a block of them: a call for each."""

import builtins
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from inspect import CO_NESTED
from types import FunctionType
from typing import Any, TypeVar

from taskrt import _core
from taskrt.parallel._blocks import Body

_F = TypeVar("_F", bound=Callable[..., Any])

# Whether threads count references to one object at the same time.
_SHARES_COUNTS = not getattr(sys, "_is_gil_enabled", lambda: True)()

# What gives at [low:high] what iteration gives there. Not subclasses: they may differ.
_SLICED = (range, list, tuple, str, bytes, bytearray, array)


def own(fn: _F) -> _F:
    """Return a function that does the same, for one task to call often.

    Without the GIL each call counts references to what it calls, and two threads that
    do so to one object wait for each other's cache: 80 ns a call instead of 57, in a
    loop over x + 1 on 3.13t. Functions of modules are counted by nobody there; those
    that were made inside of others are copied here, and partials of them.
    """
    made: Any = fn
    if not _SHARES_COUNTS:
        return fn
    if isinstance(fn, FunctionType) and fn.__code__.co_flags & CO_NESTED:
        made = FunctionType(
            fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__
        )
        made.__kwdefaults__ = fn.__kwdefaults__
    elif type(made) is partial:
        made = partial(own(made.func), *made.args, **made.keywords)
    return made  # type: ignore[no-any-return]


def call_each(fn: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Return fn(item) of each. For `map` a StopIteration of fn would be the end."""
    return [fn(item) for item in items]


def check_callable(who: str, fn: object) -> None:
    if not callable(fn):
        raise TypeError(f"{who} takes a callable first, not {type(fn).__name__!r}")


def check_callable_option(who: str, name: str, fn: object) -> None:
    if fn is not None and not callable(fn):
        raise TypeError(
            f"{who}: {name} must be a callable or None, not {type(fn).__name__!r}"
        )


def _is_sliced(iterable: Iterable[Any]) -> bool:
    if type(iterable) in _SLICED:
        return True
    if isinstance(iterable, memoryview):
        return iterable.ndim == 1
    numpy = sys.modules.get("numpy")
    return (
        numpy is not None
        and type(iterable) is getattr(numpy, "ndarray", None)
        and iterable.ndim > 0  # type: ignore[attr-defined]
    )


def as_sliced(iterable: Iterable[Any]) -> Sequence[Any]:
    """Return the items so that blocks can be sliced off; a list, if need be."""
    items: Any = iterable
    return items if _is_sliced(items) else list(items)


class Calls:
    """The calls of a loop: fn(*items), items from one sequence or several.

    starred  whether the items of the one sequence are the arguments themselves
    """

    __slots__ = ("columns", "fn", "length", "starred")

    def __init__(
        self, fn: Callable[..., Any], columns: tuple[Sequence[Any], ...], starred: bool
    ) -> None:
        self.fn = fn
        self.columns = columns
        self.starred = starred
        self.length = min(builtins.map(len, columns))

    def body(self, results: list[Any] | None, scratch: tuple[Any, ...]) -> Body:
        """Return what one task calls with blocks.

        results  where the return values go, by index; None: nowhere
        scratch  what goes before the items in each call
        """
        fn = own(self.fn)
        columns, starred = self.columns, self.starred
        plain = len(columns) == 1 and not starred and not scratch
        if plain and type(fn) is FunctionType and not _SHARES_COUNTS:
            return _as_bytecode(fn, columns[0], results)

        def call_each(low: int, high: int) -> None:
            block = tuple([block_of(column, low, high) for column in columns])
            _core._call_each(fn, scratch, block, starred, results, low, high - low)

        return call_each


def _as_bytecode(
    fn: Callable[[Any], Any], column: Sequence[Any], results: list[Any] | None
) -> Body:
    """Return a body that calls a function of Python from Python.

    With the GIL that costs less than a call from C (x + 1 on 3.11: 44 ns instead of 49,
    and 26 instead of 33 without results).
    """

    def call_each(low: int, high: int) -> None:
        for item in block_of(column, low, high):
            fn(item)

    def collect(low: int, high: int) -> None:
        assert results is not None
        results[low:high] = [fn(item) for item in block_of(column, low, high)]

    return call_each if results is None else collect


def block_of(column: Sequence[Any], low: int, high: int) -> Sequence[Any]:
    """Return the items of a block; raise RuntimeError if they are no longer there."""
    block = column[low:high]
    if len(block) != high - low:
        raise RuntimeError(
            f"a {type(column).__name__} has become shorter during a loop over it: hand "
            "the loop a copy, or leave it as it is until the loop has ended"
        )
    return block


def pair_up(
    who: str, fn: Callable[..., Any], iterables: tuple[Iterable[Any], ...], strict: bool
) -> Calls:
    """Return the calls of fn with the items of these, as zip() would put them together.

    strict  whether to raise ValueError if they are not equally long
    """
    check_callable(who, fn)
    if not iterables:
        raise TypeError(f"{who} takes a callable and one iterable or more")
    if len(iterables) == 1 or strict or all(builtins.map(_is_sliced, iterables)):
        columns = tuple(builtins.map(as_sliced, iterables))
        if strict:
            _check_lengths(who, columns)
        return Calls(fn, columns, False)
    # Some may go on for ever: whoever ends first ends all.
    return Calls(fn, (list(zip(*iterables)),), True)


def _check_lengths(who: str, columns: tuple[Sequence[Any], ...]) -> None:
    first = len(columns[0])
    for place, column in enumerate(columns[1:], 2):
        if len(column) != first:
            raise ValueError(
                f"{who}: iterable {place} has {len(column)} items and the first has "
                f"{first}: leave out strict=True to end with the shortest"
            )


def unpack(who: str, fn: Callable[..., Any], iterable: Iterable[Any]) -> Calls:
    """Return the calls fn(*item)."""
    check_callable(who, fn)
    return Calls(fn, (as_sliced(iterable),), True)
