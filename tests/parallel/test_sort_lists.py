"""sort of Python objects: as `sorted`, stable, whatever fails."""

from __future__ import annotations

import gc
import itertools
import random
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import some_examples
from support.gates import until
from support.places import Place

from taskrt import parallel, yield_now
from taskrt.parallel import _sort

pytestmark = pytest.mark.usefixtures("threads")

grains = st.none() | st.integers(1, 60)


class Mine(Exception):
    pass


@pytest.fixture(autouse=True, params=["as it is", "in parts"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sort in parts with the GIL, too, where this is correct and no faster."""
    if request.param == "in parts":
        monkeypatch.setattr(_sort, "_GIL_IS_ON", lambda: False)
        monkeypatch.setattr(_sort, "_PART_LEAST", 8)


def identity(item: Any) -> Any:
    return item


@some_examples(80)
@given(st.lists(st.integers(-20, 20), max_size=500), grains, st.booleans())
def test_sorts_as_sorted(items: list[int], grain: int | None, down: bool) -> None:
    expected = sorted(items, reverse=down)
    assert parallel.sort(items, grain=grain, reverse=down) == expected
    assert parallel.sort(iter(items), grain=grain, reverse=down) == expected
    found = parallel.sort(items, grain=grain, reverse=down, key=identity)
    assert found == expected


@some_examples(80)
@given(st.lists(st.integers(0, 5), max_size=500), grains, st.booleans())
def test_equal_items_keep_their_order(
    items: list[int], grain: int | None, down: bool
) -> None:
    pairs = list(zip(items, itertools.count()))

    def first(pair: tuple[int, int]) -> int:
        return pair[0]

    found = parallel.sort(pairs, key=first, reverse=down, grain=grain)
    assert found == sorted(pairs, key=first, reverse=down)


@pytest.mark.parametrize("length", [0, 1, 2, 4095, 8191, 8192, 30_000])
def test_sorts_any_length_anywhere(length: int, run: Place) -> None:
    def body() -> None:
        items = [random.random() for _ in range(length)]
        before = list(items)
        assert parallel.sort(items) == sorted(items)
        assert parallel.sort(items, key=str) == sorted(items, key=str)
        assert items == before

    run(body)


@pytest.mark.parametrize(
    "items",
    [
        list(range(20_000)),
        list(range(20_000, 0, -1)),
        [0] * 20_000,
        [n % 2 for n in range(20_000)],
        [n % 1000 for n in range(20_000)],
    ],
    ids=["sorted", "reversed", "equal", "two", "saw"],
)
def test_sorts_what_is_hard_to_split(items: list[int]) -> None:
    assert parallel.sort(items) == sorted(items)
    assert parallel.sort(items, reverse=True) == sorted(items, reverse=True)


def test_the_key_is_called_once_for_each_item() -> None:
    calls = itertools.count()

    def key(item: int) -> int:
        next(calls)
        return -item

    assert parallel.sort(range(10_000), key=key) == list(range(9999, -1, -1))
    assert next(calls) == 10_000


def test_the_keys_belong_to_their_items() -> None:
    """`list.sort` asks for keys in the order of the items: that is relied on."""
    items = [random.randrange(1000) for _ in range(5000)]
    assert parallel.sort(items, key=lambda n: n * 7919 % 1000) == sorted(
        items, key=lambda n: n * 7919 % 1000
    )


@pytest.mark.parametrize("length", [10, 20_000])
def test_what_cannot_be_compared_is_an_error_as_of_sorted(length: int) -> None:
    items: list[Any] = [*range(length), "text"]
    with pytest.raises(TypeError, match="'<' not supported between"):
        parallel.sort(items)


def test_an_error_of_the_key_is_raised_itself() -> None:
    def key(number: int) -> int:
        if number % 100 == 50:
            raise Mine(number)
        return number

    with pytest.raises(Mine) as caught:
        parallel.sort(range(1000), key=key, grain=10)
    assert caught.value.args[0] % 100 == 50


class Item:
    """Compared by code that lets others run meanwhile."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __lt__(self, other: Item) -> bool:
        yield_now()
        if self.number == other.number == 0:
            raise Mine
        return self.number < other.number


def test_comparisons_may_wait_and_fail() -> None:
    items = [Item(n * 7 % 101 + 1) for n in range(300)]
    found = [item.number for item in parallel.sort(items, grain=30)]
    assert found == sorted(item.number for item in items)
    with pytest.raises(Mine):
        parallel.sort([*items, Item(0), Item(0)], grain=30)


class Erratic:
    def __lt__(self, other: object) -> bool:
        return random.random() < 0.5


def test_contradicting_comparisons_lose_no_item() -> None:
    for _ in range(20):
        items = [Erratic() for _ in range(400)]
        found = parallel.sort(items, grain=20)
        assert len(found) == 400
        assert set(map(id, found)) == set(map(id, items))
    nan = float("nan")
    floats = [random.choice([nan, random.random()]) for _ in range(2000)]
    found = parallel.sort(floats, grain=50)
    assert sorted(map(str, found)) == sorted(map(str, floats))


def test_nothing_is_kept() -> None:
    item = Item(5)
    before = sys.getrefcount(item)
    found = parallel.sort([item] * 100 + [Item(n + 6) for n in range(100)], grain=10)
    del found
    # Without the GIL, what an idle thread has made is freed by a collection.
    until(lambda: gc.collect() >= 0 and sys.getrefcount(item) == before)


def test_sorts_other_sequences() -> None:
    assert parallel.sort("parallel") == sorted("parallel")
    assert parallel.sort(b"bytes") == sorted(b"bytes")
    assert parallel.sort({3: 1, 1: 2}) == [1, 3]


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="grain must be 1 or more"):
        parallel.sort([], grain=0)
    with pytest.raises(TypeError, match="iterable"):
        parallel.sort(5)  # type: ignore[arg-type]
