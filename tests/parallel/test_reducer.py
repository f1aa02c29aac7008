"""Reducer: parts of a loop, combined in order, whatever the threads do."""

from __future__ import annotations

import operator
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ends import fail

import taskrt
from taskrt import join, parallel
from taskrt.parallel import Reducer
from taskrt.parallel._blocks import Schedule

SCHEDULES: list[Schedule] = ["auto", "static", "greedy", "serial"]


class Sum:
    """A float that can be added to."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, x: float) -> None:
        self.value += x

    def join(self, other: Sum) -> Sum:
        self.value += other.value
        return self


@pytest.mark.usefixtures("threads")
@settings(deadline=None, max_examples=50)
@given(
    length=st.integers(0, 2000),
    grain=st.none() | st.integers(1, 300),
    schedule=st.sampled_from(SCHEDULES),
)
def test_parts_are_combined_in_order(
    length: int, grain: int | None, schedule: Schedule
) -> None:
    items: Reducer[list[int]] = Reducer(list, operator.iadd)
    parallel.for_each(
        list.append, range(length), init=items, grain=grain, schedule=schedule
    )
    assert items.value == list(range(length))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sums_of_floats_do_not_depend_on_threads(
    schedule: Schedule, set_num_threads: Callable[[int], object]
) -> None:
    rng = random.Random(5)
    numbers = [rng.uniform(-1, 1) * 10 ** rng.randrange(12) for _ in range(5000)]
    sums = set()
    for threads in (1, 2, 3, 5):
        set_num_threads(threads)
        for _ in range(5):
            total = Reducer(Sum, Sum.join)
            parallel.for_each(Sum.add, numbers, init=total, schedule=schedule)
            sums.add(total.value.value)
    assert len(sums) == 1


@pytest.mark.usefixtures("threads")
def test_a_part_is_used_by_one_task_at_a_time() -> None:
    class Part:
        def __init__(self) -> None:
            self.users: set[object] = set()

        def use(self, _: int) -> None:
            self.users.add((taskrt.current_task(), threading.get_ident()))

    parts: list[Part] = []

    def combine(left: Part, right: Part) -> Part:
        parts.append(right)
        return left

    reducer = Reducer(Part, combine)
    parallel.for_each(Part.use, range(1000), init=reducer)
    parts.append(reducer.value)
    assert all(len(part.users) == 1 for part in parts)
    assert len(parts) == len(set(map(id, parts))) > 1


@pytest.mark.usefixtures("threads")
def test_a_reducer_adds_up_over_loops() -> None:
    items: Reducer[list[int]] = Reducer(list, operator.add)
    assert items.value == []
    parallel.for_range(list.append, 5, init=items)
    parallel.for_range(list.append, 5, 9, init=items)
    assert items.value == list(range(9))
    loops: list[Callable[[], object]] = [
        lambda: parallel.for_range(list.append, 100, init=items) for _ in range(8)
    ]
    join(*loops)
    assert items.value == list(range(9)) + 8 * list(range(100))


@pytest.mark.usefixtures("threads")
def test_a_loop_that_fails_adds_nothing() -> None:
    items: Reducer[list[int]] = Reducer(list, operator.add)

    def add(part: list[int], n: int) -> None:
        part.append(1 // (50 - n))

    with pytest.raises(ZeroDivisionError):
        parallel.for_range(add, 100, init=items)
    assert items.value == []
    broken: Reducer[list[int]] = Reducer(list, lambda a, b: fail(OSError("combine")))
    with pytest.raises(OSError, match="combine"):
        parallel.for_range(list.append, 100, init=broken)
    assert broken.value == []
    hollow: Reducer[Any] = Reducer(lambda: fail(OSError("factory")), operator.add)
    with pytest.raises(OSError, match="factory"):
        parallel.for_range(list.append, 100, init=hollow)


@pytest.mark.usefixtures("threads")
def test_map_and_blocks_reduce_too() -> None:
    items: Reducer[list[int]] = Reducer(list, operator.iadd)

    def call(part: list[int], n: int) -> int:
        part.append(n)
        return -n

    assert parallel.map(call, range(300), init=items) == [-n for n in range(300)]
    assert items.value == list(range(300))
    blocks: Reducer[list[int]] = Reducer(list, operator.iadd)
    parallel.for_blocks(
        lambda part, low, high: part.extend(range(low, high)), 5, 900, init=blocks
    )
    assert blocks.value == list(range(5, 900))


def test_a_reducer_takes_callables() -> None:
    with pytest.raises(TypeError, match="callable factory, not 'int'"):
        Reducer(0, operator.add)
    with pytest.raises(TypeError, match="callable combine, not 'str'"):
        Reducer(list, "+")
