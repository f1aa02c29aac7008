"""_call_each: the calls of one block, and the references that they hold."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from support.ends import fail

from taskrt import _core


class Thing:
    """Something whose end can be seen."""


def pair(*items: object) -> tuple[object, ...]:
    return items


@pytest.mark.parametrize("columns", [1, 2, 9, 20])
@pytest.mark.parametrize("prefix", [(), ("mine",)])
def test_calls_have_an_item_of_each_column(
    columns: int, prefix: tuple[object, ...]
) -> None:
    results: list[Any] = [None] * 5
    blocks = tuple([range(n, n + 3) for n in range(columns)])
    _core._call_each(pair, prefix, blocks, False, results, 1, 3)
    expected = [(*prefix, *range(first, first + columns)) for first in range(3)]
    assert results == [None, *expected, None]


@pytest.mark.parametrize("prefix", [(), ("mine",)])
def test_rows_are_unpacked(prefix: tuple[object, ...]) -> None:
    results: list[Any] = [None] * 4
    rows = [(1, 2), [], iter("ab"), {5: 6}]
    _core._call_each(pair, prefix, (rows,), True, results, 0, 4)
    assert results == [(*prefix, 1, 2), prefix, (*prefix, "a", "b"), (*prefix, 5)]


@pytest.mark.parametrize("starred", [False, True])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
def test_nothing_is_kept_but_results(starred: bool, fails: bool, keeps: bool) -> None:
    things = [Thing() for _ in range(6)]
    refs = [weakref.ref(thing) for thing in things]
    items: list[Any] = [(thing,) for thing in things] if starred else list(things)
    results: list[Any] | None = [Thing() for _ in range(6)] if keeps else None
    before = [weakref.ref(thing) for thing in results or []]
    scratch = Thing()
    refs.append(weakref.ref(scratch))

    def call(mine: Thing, thing: Thing) -> Thing:
        if fails and thing is things[4]:
            raise ValueError
        return thing

    try:
        _core._call_each(call, (scratch,), (items,), starred, results, 0, 6)
    except ValueError as error:
        assert fails
        error.__traceback__ = None
    kept = 0 if not keeps else 4 if fails else 6
    del items, things[:], scratch
    gc.collect()
    assert [ref() is not None for ref in refs] == [True] * kept + [False] * (7 - kept)
    if keeps:
        assert [ref() is None for ref in before] == [n < kept for n in range(6)]
    results = None
    gc.collect()
    assert [ref() for ref in refs] == [None] * 7


def test_errors_of_items_leave_the_calls() -> None:
    def items() -> Any:
        yield 1
        raise OSError("iterator")

    with pytest.raises(OSError, match="iterator"):
        _core._call_each(pair, (), (items(),), False, None, 0, 2)
    with pytest.raises(OSError, match="iterator"):
        _core._call_each(pair, (), ([items()],), True, None, 0, 1)
    with pytest.raises(TypeError, match="not iterable"):
        _core._call_each(pair, (), (5,), False, None, 0, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not iterable"):
        _core._call_each(pair, (), ([5],), True, None, 0, 1)
    with pytest.raises(OSError, match="call"):
        _core._call_each(fail, (), ([OSError("call")],), False, None, 0, 1)


def test_broken_promises_are_told() -> None:
    for columns, results, index in (
        (([1, 2],), None, 0),
        (([1, 2, 3], [1, 2]), None, 0),
        (([1, 2, 3],), [0, 0, 0], 1),
    ):
        with pytest.raises(RuntimeError, match="too few items, or results"):
            _core._call_each(pair, (), columns, False, results, index, 3)
    for bad in (
        (pair, (), ([1],), False, [0], -1, 1),
        (pair, (), ([1],), False, (0,), 0, 1),
        (pair, (), ([1], [2]), True, [0], 0, 1),
    ):
        with pytest.raises(ValueError, match="no such calls"):
            _core._call_each(*bad)  # type: ignore[arg-type]
