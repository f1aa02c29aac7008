"""reduce, scan and sum: values, grouping, errors."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.child import run_script
from support.gates import until
from support.places import Place

from taskrt import CancelledError, Event, fetch, parallel, spawn

pytestmark = pytest.mark.usefixtures("threads")

texts = st.lists(st.text(max_size=3), max_size=300)
grains = st.none() | st.integers(1, 50)


class Mine(Exception):
    pass


def concatenate(left: str, right: str) -> str:
    """Associative and not commutative: it shows the order."""
    return left + right


def fail_at(*places: int) -> Callable[[int, int], int]:
    def op(left: int, right: int) -> int:
        if right in places:
            raise Mine(right)
        return max(left, right)

    return op


# --- reduce ---------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(texts, grains, st.none() | st.text(max_size=3))
def test_reduces_in_order(
    items: list[str], grain: int | None, start: str | None
) -> None:
    if start is None:
        if items:
            expected = functools.reduce(concatenate, items)
            assert parallel.reduce(concatenate, iter(items), grain=grain) == expected
        return
    expected = functools.reduce(concatenate, items, start)
    found = parallel.reduce(concatenate, items, initial=start, grain=grain)
    assert found == expected


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 257, 5000])
@pytest.mark.parametrize("schedule", ["auto", "static", "greedy", "serial"])
def test_reduces_anywhere(length: int, schedule: Any, run: Place) -> None:
    def body() -> None:
        items = [chr(ord("a") + n % 26) for n in range(length)]
        found = parallel.reduce(concatenate, items, schedule=schedule)
        assert found == "".join(items)

    run(body)


def test_map_comes_first() -> None:
    assert parallel.reduce(concatenate, range(12), map=str) == "01234567891011"
    assert parallel.reduce(max, [], map=str, initial="none") == "none"


@pytest.mark.parametrize("iterable", [[], (), "", iter([]), range(0), {}])
def test_nothing_has_no_reduction_but_initial(iterable: Iterable[Any]) -> None:
    with pytest.raises(TypeError, match="initial="):
        parallel.reduce(operator.add, iterable)
    assert parallel.reduce(operator.add, iterable, initial=None) is None


def test_op_is_called_once_less_often_than_there_are_items() -> None:
    calls: list[int] = []

    def op(left: int, right: int) -> int:
        calls.append(0)
        return left + right

    assert parallel.reduce(op, range(1000)) == 499_500
    assert len(calls) == 999
    assert parallel.reduce(op, [5]) == 5
    assert len(calls) == 999


@pytest.mark.parametrize("places", [(1,), (501, 502), (999,)])
def test_an_error_of_op_is_raised_itself(places: tuple[int, ...]) -> None:
    with pytest.raises(Mine) as caught:
        parallel.reduce(fail_at(*places), range(1000), grain=10)
    assert caught.value.args == (places[0],)


def test_an_error_of_map_is_raised_itself() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parallel.reduce(max, ["1", "x", "3"], map=int)


def test_a_cancelled_reduction_ends() -> None:
    never = Event()
    inside: list[int] = []

    def op(left: int, right: int) -> int:
        inside.append(0)
        never.wait()
        return left

    task = spawn(parallel.reduce, op, range(100), grain=10)
    until(lambda: inside)
    task.cancel()
    with pytest.raises(CancelledError):
        fetch(task)


def test_reductions_nest() -> None:
    def row(number: int) -> int:
        return parallel.reduce(operator.add, range(number + 1))

    assert parallel.reduce(operator.add, range(100), map=row) == 166_650


# --- scan -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(texts, grains, st.none() | st.text(max_size=3))
def test_scans_as_accumulate(
    items: list[str], grain: int | None, start: str | None
) -> None:
    if start is None:
        expected = list(itertools.accumulate(items, concatenate))
        assert parallel.scan(concatenate, iter(items), grain=grain) == expected
    else:
        expected = list(itertools.accumulate(items, concatenate, initial=start))
        found = parallel.scan(concatenate, items, grain=grain, initial=start)
        assert found == expected


@pytest.mark.parametrize("length", [0, 1, 2, 100, 4096, 10_000])
def test_scans_anywhere(length: int, run: Place) -> None:
    def body() -> None:
        expected = list(itertools.accumulate(range(length)))
        assert parallel.scan(operator.add, range(length)) == expected

    run(body)


@pytest.mark.parametrize("place", [1, 500, 999])
def test_an_error_in_a_scan_is_raised_itself(place: int) -> None:
    with pytest.raises(Mine) as caught:
        parallel.scan(fail_at(place), range(1000), grain=10)
    assert caught.value.args == (place,)


# --- sum ------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers() | st.fractions() | st.booleans(), max_size=200),
    grains,
    st.integers(),
)
def test_sums_as_the_builtin(
    items: list[int | Fraction], grain: int | None, start: int
) -> None:
    assert parallel.sum(items, grain=grain) == sum(items)
    found = parallel.sum(iter(items), start, grain=grain)
    assert found == sum(items, start)
    assert type(found) is type(sum(items, start))


def test_sums_what_can_be_added() -> None:
    assert parallel.sum([[1], [2], [3]], [], grain=1) == [1, 2, 3]
    assert parallel.sum(["1", "2"], map=int) == 3
    assert str(parallel.sum([-0.0])) == str(sum([-0.0]))
    start: Any
    for start in ("", b""):
        with pytest.raises(TypeError, match="join"):
            parallel.sum([], start)
    with pytest.raises(TypeError):
        parallel.sum(["a", "b"])


# --- all of them ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        functools.partial(parallel.reduce, max),
        functools.partial(parallel.scan, max),
        parallel.sum,
    ],
)
def test_wrong_options_are_refused(call: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="grain must be 1 or more"):
        call([1], grain=0)
    with pytest.raises(ValueError, match="schedule must be"):
        call([1], schedule="fast")
    with pytest.raises(TypeError, match="iterable"):
        call(5)


ALIKE = """
import functools, hashlib, operator, random
from taskrt import parallel
random.seed(7)
items = [random.uniform(-1, 1) * 10 ** random.randrange(-9, 9) for _ in range(30_000)]
nans = [random.choice([float("nan"), random.random()]) for _ in range(30_000)]
found = [
    parallel.reduce(operator.add, items),
    parallel.reduce(operator.add, items, grain=77),
    parallel.scan(operator.add, items),
    parallel.sum(items),
    parallel.sort(nans),
    parallel.sort(nans, grain=1000),
    parallel.sort(items, key=lambda item: -item, grain=1000),
    parallel.min(nans), parallel.max(nans),
    list(parallel.imap(abs, items)),
]
print(hashlib.sha256(repr(found).encode()).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    first = run_script(ALIKE, env={"TASKRT_NUM_THREADS": "3"}).stdout
    assert run_script(ALIKE, env={"TASKRT_NUM_THREADS": str(threads)}).stdout == first
