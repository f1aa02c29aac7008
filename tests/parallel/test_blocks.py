"""run_blocks: disjoint blocks that together cover the range, shared on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.gates import until
from support.places import Place

import taskrt
from taskrt import spawn, stats
from taskrt.parallel import _blocks
from taskrt.parallel._blocks import Schedule, run_blocks, run_loop

SCHEDULES: list[Schedule] = ["auto", "static", "greedy", "serial"]

pytestmark = pytest.mark.usefixtures("threads")


def blocks_of(length: int, **options: object) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    run_blocks(length, lambda low, high: seen.append((low, high)), **options)
    return sorted(seen)


def cover(blocks: list[tuple[int, int]], length: int) -> bool:
    """Whether the blocks, none of them empty, are the range from 0 on in pieces."""
    ends = [0, *(high for _, high in blocks)]
    return (
        [low for low, _ in blocks] == ends[:-1]
        and ends[-1] == length
        and all(low < high for low, high in blocks)
    )


@pytest.mark.parametrize("schedule", SCHEDULES)
@settings(deadline=None, max_examples=60)
@given(length=st.integers(0, 3000), grain=st.none() | st.integers(1, 4000) | st.just(1))
def test_blocks_cover_the_range(
    schedule: Schedule, length: int, grain: int | None
) -> None:
    blocks = blocks_of(length, grain=grain, schedule=schedule)
    assert cover(blocks, length)
    if grain is not None:
        assert all(high - low <= grain for low, high in blocks)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_loop_runs_anywhere(schedule: Schedule, run: Place) -> None:
    def check() -> None:
        assert cover(blocks_of(5000, schedule=schedule), 5000)

    run(check)


def test_no_block_for_nothing() -> None:
    assert blocks_of(0) == blocks_of(-3) == []


def test_serial_blocks_run_here_in_order() -> None:
    here = (threading.get_ident(), taskrt.current_task())
    seen: list[tuple[int, object]] = []

    def body(low: int, high: int) -> None:
        assert (threading.get_ident(), taskrt.current_task()) == here
        seen.append((low, high))

    before = stats()["total"]["spawned"]
    run_blocks(3000, body, schedule="serial")
    assert stats()["total"]["spawned"] == before
    assert seen == sorted(seen)
    assert cover(seen, 3000)


def test_one_thread_needs_no_task(set_num_threads: Callable[[int], object]) -> None:
    set_num_threads(1)
    before = stats()["total"]["spawned"]
    for schedule in SCHEDULES:
        assert cover(blocks_of(2000, schedule=schedule), 2000)
    assert stats()["total"]["spawned"] == before


def test_a_long_loop_of_cheap_blocks_makes_few_tasks() -> None:
    before = stats()["total"]["spawned"]
    run_blocks(10**9, lambda low, high: None)
    assert stats()["total"]["spawned"] - before < 2000


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_loop_may_be_longer_than_a_word_tells(schedule: Schedule) -> None:
    for length in (2**31 - 1, 2**31, 2**33 + 5):
        assert cover(blocks_of(length, schedule=schedule, grain=2**29), length)
        assert cover(blocks_of(length, schedule=schedule), length)


def test_blocks_grow_while_they_are_cheap() -> None:
    assert len(blocks_of(10**7)) < 100_000


def test_each_task_of_a_greedy_loop_takes_blocks_in_order() -> None:
    begun: list[tuple[object, int]] = []

    def body(low: int, high: int) -> None:
        begun.append((taskrt.current_task(), low))

    run_blocks(200, body, grain=1, schedule="greedy")
    for task in {task for task, _ in begun}:
        lows = [low for user, low in begun if user is task]
        assert lows == sorted(lows)
    assert sorted(low for _, low in begun) == list(range(200))


@pytest.mark.parametrize("schedule", ["auto", "greedy"])
def test_uneven_work_is_shared(schedule: Schedule) -> None:
    """A block that waits for all others holds up nobody else."""
    if taskrt.num_threads() == 1:
        pytest.skip("nobody to share with")
    done = taskrt.AtomicInt()

    def body(low: int, high: int) -> None:
        if low == 0:
            until(lambda: done.load() == 99)
        else:
            done.fetch_add(high - low)

    run_blocks(100, body, grain=1, schedule=schedule)
    assert done.load() == 99


@given(
    low=st.integers(0, 2**31 - 1),
    left=st.integers(0, 2**31 - 1),
    steps=st.lists(
        st.none() | st.tuples(st.integers(1, 2**34), st.integers(1, 2**31)), max_size=20
    ),
)
def test_a_part_gives_from_both_ends(
    low: int, left: int, steps: list[tuple[int, int] | None]
) -> None:
    """A block is no more than a quarter of what is left, or than `least`."""
    high = min(low + left, 2**31 - 1)
    part = _blocks._make_part(low, high)
    for step in steps:
        left = high - low
        if step is None:
            half = _blocks._take_half(part)
            if half is None:
                assert left == 0
                continue
            high -= (left + 1) // 2
            taken = _blocks._take_block(half, 2**34, 2**34)
            assert taken == (high, high + (left + 1) // 2)
        else:
            size, least = step
            end = low + min(size, max(left // 4, least), left)
            assert _blocks._take_block(part, size, least) == (low, end)
            low = end


def test_a_static_loop_gives_each_thread_one_range() -> None:
    lock = threading.Lock()
    tasks: dict[object, list[tuple[int, int]]] = {}

    def body(low: int, high: int) -> None:
        with lock:
            tasks.setdefault(taskrt.current_task(), []).append((low, high))

    run_blocks(1000, body, grain=10, schedule="static")
    assert len(tasks) == taskrt.num_threads()
    for blocks in tasks.values():
        length = blocks[-1][1] - blocks[0][0]
        assert abs(length - 1000 / taskrt.num_threads()) <= 1
        assert cover([(a - blocks[0][0], b - blocks[0][0]) for a, b in blocks], length)


def test_a_body_is_made_once_by_each_task() -> None:
    made: list[object] = []

    def start() -> Callable[[int, int], None]:
        mine = taskrt.current_task()
        made.append(mine)

        def body(low: int, high: int) -> None:
            assert taskrt.current_task() is mine

        return body

    run_loop(5000, start, grain=1)
    assert len(made) == len(set(made)) >= 1


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_loops_nest(schedule: Schedule) -> None:
    total = taskrt.AtomicInt()

    def nest(depth: int) -> None:
        def body(low: int, high: int) -> None:
            for _ in range(low, high):
                if depth == 0:
                    total.fetch_add()
                else:
                    nest(depth - 1)

        run_blocks(6, body, schedule=schedule)

    nest(4)
    assert total.load() == 6**5


def test_a_loop_in_every_task() -> None:
    def task(n: int) -> int:
        total = taskrt.AtomicInt()
        run_blocks(n, lambda low, high: total.fetch_add(high - low))
        return total.load()

    tasks = [spawn(task, n) for n in range(60)]
    assert taskrt.fetch_all(tasks) == list(range(60))


def test_those_that_a_loop_holds_up_go_on_between_blocks() -> None:
    """On the loop's own thread too, where a started task has to resume."""
    ended = taskrt.AtomicInt()

    def sleeper() -> None:
        taskrt.sleep(0.001)
        ended.fetch_add()

    with taskrt.TaskGroup() as group:
        tasks = [group.spawn(sleeper) for _ in range(8)]
        until(lambda: all(task.state != "pending" for task in tasks))
        while ended.load() < 8:
            run_blocks(20_000, lambda low, high: sum(range(100)), grain=1)
