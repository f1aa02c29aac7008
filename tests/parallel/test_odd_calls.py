"""Loops whose functions raise StopIteration, or shorten the list they go through."""

import operator
from collections.abc import Callable
from typing import Any

import pytest

from taskrt import parallel

ITEMS = list(range(100))
SCHEDULES = ("auto", "static", "greedy", "serial")


def stop_at_50(item: int) -> int:
    if item == 50:
        raise StopIteration("at 50")
    return item


FUNCTIONS: dict[str, Callable[..., object]] = {
    "map": lambda **options: parallel.map(stop_at_50, ITEMS, **options),
    "for_each": lambda **options: parallel.for_each(stop_at_50, ITEMS, **options),
    "filter": lambda **options: parallel.filter(stop_at_50, ITEMS, **options),
    "any": lambda **options: parallel.any(
        ITEMS, map=lambda item: stop_at_50(item) > 100, **options
    ),
    "all": lambda **options: parallel.all(
        ITEMS, map=lambda item: stop_at_50(item) < 100, **options
    ),
    "min": lambda **options: parallel.min(ITEMS, key=stop_at_50, **options),
    "max": lambda **options: parallel.max(ITEMS, key=stop_at_50, **options),
    "sort": lambda **options: parallel.sort(ITEMS, key=stop_at_50, **options),
    "sum": lambda **options: parallel.sum(ITEMS, map=stop_at_50, **options),
    "reduce": lambda **options: parallel.reduce(
        operator.add, ITEMS, map=stop_at_50, **options
    ),
}


@pytest.mark.parametrize("grain", [None, 1, 7, 1000])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_stop_iteration_of_a_function_is_an_error_and_no_end(
    name: str, schedule: str, grain: int | None
) -> None:
    with pytest.raises(StopIteration, match="at 50"):
        FUNCTIONS[name](schedule=schedule, grain=grain)


@pytest.mark.parametrize("grain", [None, 1, 7, 1000])
@pytest.mark.parametrize("initial", [{}, {"initial": 0}])
def test_stop_iteration_of_an_op_is_an_error_and_no_end(
    grain: int | None, initial: dict[str, Any]
) -> None:
    def add(left: int, right: int) -> int:
        if right > 60:
            raise StopIteration
        return left + right

    with pytest.raises((RuntimeError, StopIteration)):
        parallel.scan(add, ITEMS, grain=grain, **initial)
    with pytest.raises(StopIteration):
        parallel.reduce(add, ITEMS, grain=grain, **initial)


def test_an_item_whose_truth_raises_stop_iteration_is_an_error() -> None:
    class Item:
        def __bool__(self) -> bool:
            raise StopIteration

    for find in (lambda items: parallel.filter(None, items), parallel.any):
        with pytest.raises(StopIteration):
            find([0, 0, Item(), 0])


SHORTENED: dict[str, Callable[[list[int], Callable[[int], int]], object]] = {
    "map": lambda items, fn: parallel.map(fn, items, grain=10),
    "filter": lambda items, fn: parallel.filter(fn, items, grain=10),
    "any": lambda items, fn: parallel.any(items, map=fn, grain=10),
    "min": lambda items, fn: parallel.min(items, key=fn, grain=10),
    "sort": lambda items, fn: parallel.sort(items, key=fn, grain=10),
    "sum": lambda items, fn: parallel.sum(items, map=fn, grain=10),
}


@pytest.mark.parametrize("name", SHORTENED)
def test_a_list_that_becomes_shorter_is_told_of(name: str) -> None:
    items = [0] * 1000

    def clear(item: int) -> int:
        items.clear()
        return item

    with pytest.raises(RuntimeError, match="list has become shorter during a loop"):
        SHORTENED[name](items, clear)


def test_comparisons_that_shorten_the_list_are_told_of(
    set_num_threads: Callable[[int], object],
) -> None:
    set_num_threads(2)

    class Item:
        def __lt__(self, other: object) -> bool:
            items.clear()
            return False

    items = [Item() for _ in range(1000)]
    try:
        found = parallel.sort(items, grain=10)
    except RuntimeError as error:
        assert "has become shorter" in str(error)  # with the GIL none
    else:
        assert len(found) == 1000
