"""What loops say to wrong arguments, and that integers of all kinds are right ones."""

import re
from collections.abc import Callable
from operator import add, itemgetter
from typing import Any

import pytest

from taskrt import parallel

pytestmark = pytest.mark.usefixtures("threads")

ITEMS = [3, 1, 2]


class Whole:
    """A number that is no int, as those of NumPy are."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.mark.parametrize(
    "call",
    [
        lambda grain: parallel.map(abs, ITEMS, grain=grain),
        lambda grain: list(parallel.imap(abs, ITEMS, grain=grain, buffer=grain)),
        lambda grain: parallel.filter(abs, ITEMS, grain=grain),
        lambda grain: parallel.scan(max, ITEMS, grain=grain),
        lambda grain: parallel.sort(ITEMS, grain=grain),
        lambda grain: parallel.reduce(add, ITEMS, grain=grain),
        lambda grain: parallel.sum(ITEMS, grain=grain),
        lambda grain: parallel.any(ITEMS, grain=grain),
        lambda grain: parallel.max(ITEMS, grain=grain),
        lambda grain: parallel.chunks(ITEMS, size=grain),
        lambda grain: parallel.chunks(ITEMS, n=grain, min_size=grain),
    ],
)
def test_numbers_of_items_may_be_integers_of_any_type(
    call: Callable[[Any], object],
) -> None:
    assert call(Whole(2)) == call(2)


def test_ranges_may_be_of_integers_of_any_type() -> None:
    seen: list[int] = []
    ends: list[Any] = [Whole(2), Whole(9), Whole(3), Whole(5)]
    parallel.for_range(seen.append, *ends[:3])
    assert sorted(seen) == [2, 5, 8]
    assert parallel.chunks(ends[3], size=3) == [range(3), range(3, 5)]


def test_blocks_of_one_number_begin_with_zero() -> None:
    seen: list[int] = []
    parallel.for_blocks(lambda low, high: seen.extend(range(low, high)), 10, grain=3)
    assert sorted(seen) == list(range(10))
    parallel.for_blocks(lambda low, high: seen.append(-1), -3)
    assert -1 not in seen


FIRST = "takes a callable first, not 'str'"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: parallel.map("fn", ITEMS), f"map() {FIRST}"),
        (lambda: parallel.imap("fn", ITEMS), f"imap() {FIRST}"),
        (lambda: parallel.starmap("fn", ITEMS), f"starmap() {FIRST}"),
        (lambda: parallel.for_range("fn", 3), f"for_range() {FIRST}"),
        (lambda: parallel.for_blocks("fn", 3), f"for_blocks() {FIRST}"),
        (lambda: parallel.reduce("op", ITEMS), f"reduce() {FIRST}"),
        (lambda: parallel.scan("op", ITEMS), f"scan() {FIRST}"),
        (lambda: parallel.reduce(ITEMS, max), "reduce() takes a callable first"),
        (lambda: parallel.imap(abs), "imap() takes a callable and one iterable"),
        (lambda: parallel.map(abs), "map() takes a callable and one iterable"),
    ],
)
def test_what_is_no_function_is_named(call: Callable[[], object], text: str) -> None:
    with pytest.raises(TypeError, match=re.escape(text)):
        call()


@pytest.mark.parametrize(
    ("who", "option", "call"),
    [
        ("filter", "pred", lambda: parallel.filter("pred", ITEMS)),
        ("any", "map", lambda: parallel.any(ITEMS, map="fn")),
        ("all", "map", lambda: parallel.all(ITEMS, map="fn")),
        ("min", "key", lambda: parallel.min(ITEMS, key="fn")),
        ("max", "key", lambda: parallel.max(ITEMS, key="fn")),
        ("sum", "map", lambda: parallel.sum(ITEMS, map="fn")),
        ("reduce", "map", lambda: parallel.reduce(add, ITEMS, map="fn")),
        ("sort", "key", lambda: parallel.sort(ITEMS, key="fn")),
        ("imap", "init", lambda: parallel.imap(abs, ITEMS, init="fn")),
    ],
)
def test_an_option_that_is_no_function_is_named(
    who: str, option: str, call: Callable[[], object]
) -> None:
    text = f"{who}(): {option} must be a callable or None, not 'str'"
    with pytest.raises(TypeError, match=re.escape(text)):
        call()


@pytest.mark.parametrize("loop", [parallel.for_range, parallel.for_blocks])
@pytest.mark.parametrize("ends", [("3",), (2.0,), (ITEMS,), (0, 3.5), (None,)])
def test_what_is_no_integer_is_named(loop: Any, ends: tuple[object, ...]) -> None:
    name = f"{loop.__name__}() takes integers after the function, not "
    kind = type(ends[-1]).__name__
    with pytest.raises(TypeError, match=re.escape(f"{name}{kind!r}")):
        loop(itemgetter, *ends)
