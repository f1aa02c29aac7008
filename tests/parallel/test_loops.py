"""for_each, map, starmap, for_range, for_blocks: as the builtins, in parallel."""

from __future__ import annotations

import builtins
import functools
import itertools
import threading
import types
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taskrt
from taskrt import parallel
from taskrt.parallel._blocks import Schedule
from taskrt.parallel._calls import own

SCHEDULES: list[Schedule] = ["auto", "static", "greedy", "serial"]

pytestmark = pytest.mark.usefixtures("threads")

OPTIONS = st.fixed_dictionaries(
    {"schedule": st.sampled_from(SCHEDULES), "grain": st.none() | st.integers(1, 99)}
)


def pair(*items: object) -> tuple[object, ...]:
    return items


def shaped(items: list[int], shape: str) -> Iterable[int]:
    """Return these items in another container, or as an iterator."""
    make: dict[str, Callable[[list[int]], Iterable[int]]] = {
        "list": list,
        "tuple": tuple,
        "bytes": bytes,
        "array": lambda items: array("q", items),
        "memoryview": lambda items: memoryview(bytes(items)),
        "iterator": iter,
        "deque": deque,
        "dict": dict.fromkeys,
        "subclass": Backwards,
    }
    return make[shape](items)


class Backwards(list[int]):
    """A list whose iteration is not what its slices are."""

    def __iter__(self) -> Iterator[int]:
        return reversed(self)


SHAPES = [
    "list",
    "tuple",
    "bytes",
    "array",
    "memoryview",
    "iterator",
    "deque",
    "dict",
    "subclass",
]


@settings(deadline=None, max_examples=80)
@given(
    columns=st.lists(
        st.tuples(st.lists(st.integers(0, 255), max_size=60), st.sampled_from(SHAPES)),
        min_size=1,
        max_size=10,
    ),
    options=OPTIONS,
)
def test_map_is_the_builtin(
    columns: list[tuple[list[int], str]], options: dict[str, Any]
) -> None:
    expected = list(builtins.map(pair, *itertools.starmap(shaped, columns)))
    assert (
        parallel.map(pair, *itertools.starmap(shaped, columns), **options) == expected
    )
    seen: list[object] = []
    parallel.for_each(
        lambda *items: seen.append(items),
        *itertools.starmap(shaped, columns),
        **options,
    )
    assert sorted(seen, key=repr) == sorted(expected, key=repr)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.lists(st.integers(), max_size=9), max_size=60), options=OPTIONS)
def test_starmap_is_that_of_itertools(
    rows: list[list[int]], options: dict[str, Any]
) -> None:
    expected = list(itertools.starmap(pair, rows))
    assert parallel.starmap(pair, rows, **options) == expected
    assert parallel.starmap(pair, builtins.map(iter, rows), **options) == expected
    with_scratch = parallel.starmap(pair, rows, init=lambda: "mine", **options)
    assert with_scratch == [("mine", *row) for row in expected]


@settings(deadline=None, max_examples=60)
@given(
    start=st.integers(-50, 50),
    stop=st.integers(-50, 50),
    step=st.integers(-7, 7).filter(bool),
    options=OPTIONS,
)
def test_for_range_is_a_loop_over_that_range(
    start: int, stop: int, step: int, options: dict[str, Any]
) -> None:
    seen: list[int] = []
    parallel.for_range(seen.append, start, stop, step, **options)
    assert sorted(seen) == sorted(range(start, stop, step))
    seen.clear()
    parallel.for_range(seen.append, start, **options)
    assert sorted(seen) == list(range(start))


@settings(deadline=None, max_examples=60)
@given(start=st.integers(-500, 500), stop=st.integers(-500, 500), options=OPTIONS)
def test_for_blocks_covers_its_range(
    start: int, stop: int, options: dict[str, Any]
) -> None:
    seen: list[int] = []

    def body(low: int, high: int) -> None:
        assert start <= low < high <= stop
        seen.extend(range(low, high))

    parallel.for_blocks(body, start, stop, **options)
    assert sorted(seen) == list(range(start, stop))


def test_a_string_has_characters() -> None:
    assert parallel.map(str.upper, "abc") == ["A", "B", "C"]


def test_arrays_of_numpy_are_read_where_they_are() -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(6000.0).reshape(2000, 3)[::2]
    sums = parallel.map(numpy.sum, array)
    assert sums == list(builtins.map(numpy.sum, array))
    assert all(row.base is not None for row in parallel.map(lambda row: row, array))
    with pytest.raises(TypeError, match="0-d"):
        parallel.map(abs, numpy.array(1))


def test_the_shortest_ends_a_loop_over_several() -> None:
    assert parallel.map(pow, itertools.count(1), [1, 2, 3]) == [1, 4, 27]
    assert parallel.map(pair, range(9), [1, 2]) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("shape", ["list", "iterator"])
def test_strict_loops_want_equal_lengths(shape: str) -> None:
    calls: list[object] = []
    for loop in (parallel.map, parallel.for_each):
        with pytest.raises(
            ValueError, match="iterable 2 has 2 items and the first has 3"
        ):
            loop(
                lambda *items: calls.append(items),
                shaped([1, 2, 3], shape),
                shaped([1, 2], shape),
                strict=True,
            )
    assert calls == []
    same = parallel.map(pair, shaped([1, 2], shape), shaped([3, 4], shape), strict=True)
    assert same == [(1, 3), (2, 4)]


def test_scratch_belongs_to_one_task() -> None:
    made: list[list[object]] = []

    def make() -> list[object]:
        mine: list[object] = []
        made.append(mine)
        return mine

    def call(mine: list[object], item: int) -> int:
        mine.append((taskrt.current_task(), threading.get_ident()))
        return -item

    for schedule in SCHEDULES:
        made.clear()
        result = parallel.map(call, range(500), init=make, schedule=schedule)
        assert result == [-item for item in range(500)]
        assert sum(builtins.map(len, made)) == 500
        assert all(len(set(users)) == 1 for users in made)


def test_scratch_goes_before_blocks_and_indices() -> None:
    seen: list[object] = []
    parallel.for_range(lambda *args: seen.append(args), 1, init=lambda: "mine")
    parallel.for_blocks(lambda *args: seen.append(args), 3, 5, grain=2, init=str)
    assert seen == [("mine", 0), ("", 3, 5)]


def test_nothing_is_made_for_a_loop_over_nothing() -> None:
    assert parallel.map(abs, [], init=lambda: pytest.fail("called")) == []


def test_calls_see_the_context_of_the_caller() -> None:
    import contextvars

    var = contextvars.ContextVar("var", default=0)
    var.set(7)
    assert set(parallel.map(lambda _: var.get(), range(200), grain=1)) == {7}


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_maps_nest(depth: int) -> None:
    def nest(depth: int, n: int) -> int:
        if depth == 0:
            return n
        return sum(parallel.map(lambda m: nest(depth - 1, m), range(n)))

    def serial(depth: int, n: int) -> int:
        return sum(serial(depth - 1, m) for m in range(n)) if depth else n

    assert nest(depth, 9) == serial(depth, 9)


def test_functions_are_called_as_they_are() -> None:
    """Copies for one task behave like the original, and C functions are not copied."""

    def outer(k: int) -> Callable[..., object]:
        def inner(x: int, y: int = 5, *, z: int = 7) -> tuple[int, ...]:
            return (k, x, y, z)

        return inner

    inner = outer(3)
    assert parallel.map(inner, range(50)) == [(3, n, 5, 7) for n in range(50)]
    with_z = functools.partial(inner, z=1)
    assert parallel.map(with_z, range(50)) == [(3, n, 5, 1) for n in range(50)]
    assert own(abs) is abs
    copy = own(inner)
    assert isinstance(copy, types.FunctionType)
    assert copy(1) == inner(1)
    assert parallel.map("{}".format, [1, 2]) == ["1", "2"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: parallel.map(abs), TypeError, "one iterable or more"),
        (lambda: parallel.map([], [1]), TypeError, "a callable first, not 'list'"),
        (lambda: parallel.starmap(1, []), TypeError, "a callable first, not 'int'"),
        (lambda: parallel.map(abs, 5), TypeError, "not iterable"),
        (lambda: parallel.for_blocks(abs, 0, 1.5), TypeError, "integer"),
        (
            lambda: parallel.for_range(abs, 1, None, 2),
            TypeError,
            "after start and stop",
        ),
        (lambda: parallel.for_range(abs, 1, 5, 0), ValueError, "zero"),
        (
            lambda: parallel.map(abs, [1], grain=0),
            ValueError,
            "1 or more",
        ),
        (lambda: parallel.map(abs, [1], grain=1.5), TypeError, "int or None"),
        (lambda: parallel.map(abs, [1], schedule="fast"), ValueError, "not 'fast'"),
        (lambda: parallel.map(abs, [1], init=5), TypeError, "a Reducer or None"),
        (lambda: parallel.map(abs, [1], progress=5), TypeError, "a label, a callable"),
    ],
)
def test_wrong_arguments_are_told(
    call: Callable[[], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call()
