"""Barriers and latches: those that come wait for the others, or learn of a breach."""

from __future__ import annotations

from threading import BrokenBarrierError

import pytest
from support.crowd import crowd
from support.gates import pinned, until, until_suspended

from taskrt import (
    AtomicInt,
    Barrier,
    CancelledError,
    Latch,
    fetch,
    spawn,
    wait,
    yield_now,
)

# --- Barrier --------------------------------------------------------------------------


def test_rounds_do_not_mix_among_tasks_threads_and_main(threads: int) -> None:
    barrier = Barrier(12)
    come = [AtomicInt() for _ in range(20)]
    numbers: list[list[int]] = [[] for _ in range(20)]

    def work(_: int) -> None:
        for turn in range(20):
            come[turn].fetch_add()
            numbers[turn].append(barrier.wait())
            assert come[turn].load() == 12

    assert crowd(work, tasks=8, threads=3) == 12
    assert [sorted(each) for each in numbers] == [list(range(12))] * 20
    assert (barrier.n_waiting, barrier.parties, barrier.broken) == (0, 12, False)


def test_one_party_never_waits() -> None:
    ran: list[int] = []
    barrier = Barrier(1, lambda: ran.append(1))
    assert [barrier.wait(), barrier.wait(0)] == [0, 0]
    assert ran == [1, 1]


@pytest.mark.parametrize("wrong", [0, -1])
def test_wrong_number_of_parties(wrong: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Barrier(wrong)


def test_action_runs_once_a_round_before_any_goes_on(threads: int) -> None:
    rounds = 0

    def action() -> None:
        nonlocal rounds
        assert fetch(spawn(lambda: barrier.n_waiting)) == 0
        rounds += 1

    def work(_: int) -> None:
        for turn in range(10):
            barrier.wait()
            assert rounds == turn + 1
            after.wait()

    barrier, after = Barrier(6, action), Barrier(6)
    crowd(work, tasks=4, threads=1)
    assert rounds == 10


def test_action_that_fails_breaks_it(threads: int) -> None:
    barrier = Barrier(3, lambda: 1 // 0)
    tasks = [spawn(barrier.wait) for _ in range(2)]
    until(lambda: barrier.n_waiting == 2)
    with pytest.raises(ZeroDivisionError):
        barrier.wait()
    for task in tasks:
        with pytest.raises(BrokenBarrierError):
            fetch(task)
    assert barrier.broken
    assert "broken" in repr(barrier)
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken
    assert "waiters=0/3" in repr(barrier)


def test_time_that_is_up_breaks_it(threads: int) -> None:
    barrier = Barrier(3)
    task = spawn(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    with pytest.raises(BrokenBarrierError):
        barrier.wait(0.001)
    with pytest.raises(BrokenBarrierError):
        fetch(task)
    assert barrier.broken
    assert barrier.n_waiting == 0


def test_its_own_timeout_is_for_waits_without_one() -> None:
    barrier = Barrier(2, timeout=0.001)
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    task = spawn(barrier.wait, 60)
    until(lambda: barrier.n_waiting == 1)
    assert barrier.wait(60) == 1
    assert fetch(task) == 0


def test_a_party_that_is_cancelled_breaks_it(threads: int) -> None:
    barrier = Barrier(3)
    tasks = [spawn(barrier.wait) for _ in range(2)]
    until(lambda: barrier.n_waiting == 2)
    until_suspended(*tasks)
    tasks[0].cancel()
    with pytest.raises(CancelledError):
        fetch(tasks[0])
    with pytest.raises(BrokenBarrierError):
        fetch(tasks[1])
    assert barrier.broken


def test_a_party_that_is_late_for_the_action_passes() -> None:
    """Once all have come nobody's timeout breaks it."""

    def action() -> None:
        until(lambda: late.state == "suspended")
        early.append(late.done())

    early: list[bool] = []
    barrier = Barrier(2, action)
    late = spawn(barrier.wait, 0.05)
    until(lambda: barrier.n_waiting == 1 or late.done())
    barrier.wait()
    assert fetch(late) == 0
    assert early == [False]


def test_abort_lasts_until_reset(threads: int) -> None:
    barrier = Barrier(2)
    task = spawn(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    barrier.abort()
    for attempt in (task.result, barrier.wait, barrier.wait):
        with pytest.raises(BrokenBarrierError):
            attempt()
    barrier.reset()
    task = spawn(barrier.wait)
    barrier.wait()
    fetch(task)


def test_reset_is_for_those_that_wait_now(threads: int) -> None:
    barrier = Barrier(2)
    task = spawn(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    barrier.reset()
    assert (barrier.n_waiting, barrier.broken) == (0, False)
    again = spawn(barrier.wait)
    barrier.wait()
    wait(again)
    with pytest.raises(BrokenBarrierError):
        fetch(task)


# --- Latch ----------------------------------------------------------------------------


def test_latch_opens_at_zero_for_all(threads: int) -> None:
    latch = Latch(12)
    come = AtomicInt()

    def work(_: int) -> None:
        come.fetch_add()
        assert latch.arrive_and_wait() is True
        assert come.load() == 12
        assert latch.wait(0) is True

    assert crowd(work, tasks=8, threads=3) == 12
    assert latch.count == 0


def test_latch_of_zero_is_open() -> None:
    assert Latch(0).wait() is True


def test_latch_refuses_wrong_numbers() -> None:
    with pytest.raises(ValueError, match="not from -1"):
        Latch(-1)
    with pytest.raises(OverflowError):
        Latch(2**63)
    latch = Latch(3)
    for wrong in (0, -1, 4):
        with pytest.raises(ValueError):
            latch.count_down(wrong)
    latch.count_down(2)
    assert "1 to come" in repr(latch)
    with pytest.raises(ValueError, match="only 1 left"):
        latch.count_down(2)
    assert latch.wait(0) is False
    latch.count_down()
    assert latch.wait() is True
    with pytest.raises(ValueError, match="only 0 left"):
        latch.count_down()


def test_a_wait_for_a_latch_ends_and_its_count_stays() -> None:
    latch = Latch(2)
    assert latch.arrive_and_wait(timeout=0.001) is False
    task = pinned(latch.wait)
    until_suspended(task)
    task.cancel()
    yield_now()
    with pytest.raises(CancelledError):
        fetch(task)
    assert latch.count == 1
