"""AtomicInt: steps that others see whole, and numbers that never wrap."""

from __future__ import annotations

import weakref

import pytest
from support.crowd import crowd

from taskrt import AtomicInt

LEAST, MOST = -(2**63), 2**63 - 1


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_it_begins_with_the_value_given() -> None:
    assert AtomicInt().load() == 0
    for value in (LEAST, -1, 0, 1, MOST):
        assert AtomicInt(value).load() == value
        assert AtomicInt(value=Index(value)).load() == value


def test_each_operation_returns_what_was_before() -> None:
    number = AtomicInt(5)
    assert number.store(6) is None  # type: ignore[func-returns-value]
    assert number.exchange(7) == 6
    assert number.fetch_add() == 7
    assert number.fetch_add(10) == 8
    assert number.fetch_add(-3) == 18
    assert number.fetch_sub() == 15
    assert number.fetch_sub(Index(4)) == 14
    assert number.fetch_sub(-1) == 10
    assert number.load() == 11


def test_compare_exchange_tells_whether_it_did() -> None:
    number = AtomicInt(1)
    assert number.compare_exchange(1, 2) is True
    assert number.compare_exchange(1, 3) is False
    assert number.load() == 2


def test_it_is_read_where_an_integer_is_wanted() -> None:
    number = AtomicInt(2)
    assert int(number) == 2
    assert [10, 20, 30][number] == 30
    assert list(range(number)) == [0, 1]
    assert repr(number) == "AtomicInt(2)"
    assert weakref.ref(number)() is number
    assert number != AtomicInt(2), "it is a place, not a number"


@pytest.mark.parametrize(
    ("start", "method", "step"),
    [
        (MOST, "fetch_add", 1),
        (1, "fetch_add", MOST),
        (LEAST, "fetch_add", -1),
        (LEAST, "fetch_add", LEAST),
        (LEAST, "fetch_sub", 1),
        (-2, "fetch_sub", MOST),
        (MOST, "fetch_sub", -1),
        (0, "fetch_sub", LEAST),
        (0, "fetch_add", MOST + 1),
        (0, "fetch_sub", LEAST - 1),
        (0, "store", MOST + 1),
        (0, "exchange", LEAST - 1),
    ],
)
def test_what_does_not_fit_changes_nothing(start: int, method: str, step: int) -> None:
    number = AtomicInt(start)
    with pytest.raises(OverflowError, match="64 bits"):
        getattr(number, method)(step)
    assert number.load() == start


def test_the_ends_are_reached() -> None:
    number = AtomicInt(-1)
    assert number.fetch_add(LEAST + 1) == -1
    assert number.load() == LEAST
    assert number.fetch_sub(LEAST) == LEAST
    assert number.fetch_add(MOST) == 0
    assert number.fetch_sub(MOST) == MOST
    with pytest.raises(OverflowError):
        number.compare_exchange(0, MOST + 1)
    with pytest.raises(OverflowError):
        AtomicInt(MOST + 1)


def test_wrong_arguments() -> None:
    number = AtomicInt()
    for wrong in (1.0, "1", None):
        for method in (number.store, number.exchange, number.fetch_add, AtomicInt):
            with pytest.raises(TypeError):
                method(wrong)  # type: ignore[operator]
    with pytest.raises(TypeError):
        number.fetch_add(1, 2)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        number.compare_exchange(1)  # type: ignore[call-arg]
    assert number.load() == 0


def test_no_step_is_lost(threads: int) -> None:
    up, down, swapped, capped = AtomicInt(), AtomicInt(), AtomicInt(), AtomicInt()
    seen: list[int] = []

    def work(me: int) -> None:
        mine = []
        for _ in range(1000):
            mine.append(up.fetch_add())
            down.fetch_sub(2)
            while not swapped.compare_exchange(now := swapped.load(), now + 3):
                pass
            if capped.load() < MOST:
                capped.exchange(me)
        assert mine == sorted(mine)
        seen.extend(mine)

    calls = crowd(work, tasks=8, threads=3)
    assert sorted(seen) == list(range(1000 * calls))
    assert up.load() == 1000 * calls
    assert down.load() == -2000 * calls
    assert swapped.load() == 3000 * calls
    assert 0 <= capped.load() < calls
