"""filter, any, all, min, max: as the builtins, but in parallel."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.places import Place

from taskrt import parallel

pytestmark = pytest.mark.usefixtures("threads")

numbers = st.lists(st.integers(-3, 3), max_size=300)
grains = st.none() | st.integers(1, 50)


class Mine(Exception):
    pass


def is_even(number: int) -> bool:
    return number % 2 == 0


@settings(max_examples=60, deadline=None)
@given(numbers, grains)
def test_filters_in_order(items: list[int], grain: int | None) -> None:
    for pred in (None, is_even):
        expected = list(filter(pred, items))
        assert parallel.filter(pred, items, grain=grain) == expected
        assert parallel.filter(pred, iter(items), grain=grain) == expected


def test_filters_anywhere(run: Place) -> None:
    def body() -> None:
        found = parallel.filter(is_even, range(30_000))
        assert found == list(range(0, 30_000, 2))

    run(body)


def test_an_error_of_pred_is_raised_itself() -> None:
    def pred(number: int) -> bool:
        if number % 100 == 50:
            raise Mine(number)
        return True

    with pytest.raises(Mine) as caught:
        parallel.filter(pred, range(1000), grain=10)
    assert caught.value.args[0] % 100 == 50


@settings(max_examples=60, deadline=None)
@given(numbers, grains)
def test_any_and_all_are_those_of_the_builtins(
    items: list[int], grain: int | None
) -> None:
    assert parallel.any(items, grain=grain) is any(items)
    assert parallel.all(iter(items), grain=grain) is all(items)
    assert parallel.any(items, map=is_even, grain=grain) is any(map(is_even, items))
    assert parallel.all(items, map=is_even, grain=grain) is all(map(is_even, items))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["no", "no", "no", "no", "yes", "error"]), max_size=100),
    grains,
)
def test_the_first_that_decides_or_fails_is_the_outcome(
    items: list[str], grain: int | None
) -> None:
    def call(place: int) -> bool:
        if items[place] == "error":
            raise Mine(place)
        return items[place] == "yes"

    def outcome(find: Callable[..., bool], *args: Any, **options: Any) -> object:
        try:
            return find(*args, **options)
        except Mine as error:
            return error.args

    places = range(len(items))
    assert outcome(any, map(call, places)) == outcome(
        parallel.any, places, map=call, grain=grain
    )


def test_any_stops_early() -> None:
    calls = itertools.count()

    def call(number: int) -> bool:
        next(calls)
        return number == 5

    assert parallel.any(range(20_000_000), map=call, grain=10)
    assert next(calls) < 10_000_000


@settings(max_examples=60, deadline=None)
@given(numbers, grains)
def test_extremes_are_the_first_of_equals(items: list[int], grain: int | None) -> None:
    places = list(enumerate(items))
    for ours, builtin in ((parallel.min, min), (parallel.max, max)):
        assert ours(items, default="none", grain=grain) == builtin(
            items, default="none"
        )
        found = ours(iter(places), key=lambda pair: pair[1], default=0, grain=grain)
        assert found == builtin(places, key=lambda pair: pair[1], default=0)


def test_extremes_of_nothing() -> None:
    for extreme in (parallel.min, parallel.max):
        with pytest.raises(ValueError, match="default="):
            extreme([])
        assert extreme([], default=None) is None


def test_the_key_of_an_extreme_is_called_once_for_each() -> None:
    counter = itertools.count()

    def key(number: int) -> int:
        next(counter)
        return -number

    assert parallel.min(range(1000), key=key) == 999
    assert next(counter) == 1000


@pytest.mark.parametrize("call", [parallel.any, parallel.all, parallel.min])
def test_wrong_options_are_refused(call: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="grain must be 1 or more"):
        call([1], grain=0)
    with pytest.raises(ValueError, match="schedule must be"):
        call([1], schedule="fast")
