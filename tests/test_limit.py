"""limit(n): at most n of the tasks spawned in a block run at a time."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from itertools import permutations

import pytest
from support.gates import Gate, join, pinned, until, until_suspended
from support.gauge import Gauge
from support.places import in_task, in_thread

import taskrt
from taskrt import (
    CancelledError,
    Channel,
    Event,
    Lock,
    Spawner,
    Task,
    TaskGroup,
    checkpoint,
    fetch,
    fetch_all,
    limit,
    race,
    run_blocking,
    sleep,
    spawn,
    spawn_later,
    wait,
    yield_now,
)

unlimited = Spawner(name="unlimited")


@pytest.fixture(autouse=True)
def _four_threads() -> Iterator[None]:
    before = taskrt.num_threads()
    taskrt.set_num_threads(max(before, 4))
    yield
    taskrt.set_num_threads(before)


def here(fn: Callable[[], object]) -> None:
    fn()


@pytest.mark.parametrize("where", [here, in_task, in_thread])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_more_run_at_a_time(n: int, where: Callable[..., None]) -> None:
    gauge = Gauge()

    def block() -> None:
        with limit(n):
            gauge.enter()  # the block's own task counts
            tasks = [spawn(gauge.work) for _ in range(50)]
            time.sleep(0.001)
            gauge.leave()
            with TaskGroup() as group:
                for _ in range(20):
                    group.spawn(gauge.work)
            fetch_all(tasks)

    where(block)
    assert gauge.most <= n
    assert gauge.calls == 71


def test_as_many_run_as_may() -> None:
    gauge = Gauge()
    everybody = threading.Barrier(2)

    def meet() -> None:
        gauge.enter()
        everybody.wait(60)
        gauge.leave()

    def block() -> None:
        with limit(2):
            wait(spawn(meet), spawn(meet))

    fetch(spawn(block))
    assert gauge.most == 2


def test_all_that_tasks_spawn_is_under_the_limit() -> None:
    gauge = Gauge()

    def tree(depth: int) -> int:
        gauge.work(0.0002)
        tasks = [spawn(tree, depth - 1) for _ in range(3 if depth else 0)]
        gauge.work(0.0002)
        return 1 + sum(map(fetch, tasks))

    with limit(2):
        later = spawn_later(0, tree, 2)
        assert fetch(spawn(tree, 4)) == 121
        assert fetch(later) == 13
    assert gauge.most <= 2


def test_what_the_block_leaves_behind_stays_under_the_limit() -> None:
    gauge = Gauge()
    with limit(1):
        tasks = [spawn(gauge.work) for _ in range(30)]
    fetch_all(tasks)
    assert gauge.most == 1


def test_what_is_spawned_outside_is_not() -> None:
    started, go_on = threading.Event(), threading.Event()

    def other() -> None:
        started.set()
        assert go_on.wait(60)

    with limit(1):
        inner = spawn(int)
        outer: list[Task[None]] = []
        thread = threading.Thread(target=lambda: outer.append(unlimited(other)))
        thread.start()
        assert started.wait(60)  # on another thread, while this one holds the place
        assert inner.state == "pending"
        go_on.set()
        thread.join()
        assert fetch(inner) == 0
    fetch(outer[0])
    assert spawn(int).result() == 0


def test_within_another_the_smaller_one_decides() -> None:
    wide, narrow = Gauge(), Gauge()

    def both() -> None:
        wide.enter()
        narrow.work()
        wide.leave()

    def block(n: int) -> None:
        with limit(n):
            fetch_all([spawn(both) for _ in range(10)])

    with limit(2):
        blocks = [spawn(block, n) for n in (1, 1, 5, 100)]
        more = [spawn(wide.work) for _ in range(20)]
        fetch_all(blocks + more)
    assert wide.most <= 2
    with limit(1), limit(3):
        narrow.most = 0
        fetch_all([spawn(narrow.work) for _ in range(10)])
    assert narrow.most == 1


def test_the_outer_one_is_back_after_the_inner_one() -> None:
    gauge = Gauge()
    with limit(2):
        with limit(1):
            fetch(spawn(gauge.work))
        with pytest.raises(ZeroDivisionError), limit(1):
            divmod(1, 0)
        fetch_all([spawn(gauge.work) for _ in range(30)])
    assert gauge.most <= 2


def test_who_waits_does_not_count() -> None:
    event, channel = Event(), Channel[int]()

    def waits() -> int:
        event.wait()
        return channel.get()

    def helps() -> None:
        event.set()
        channel.put(7)

    with limit(1):
        task = spawn(waits)
        until_suspended(task)
        fetch(spawn(helps))
        assert fetch(task) == 7


def test_sleepers_come_back_one_at_a_time() -> None:
    gauge = Gauge()

    def sleeper(i: int) -> None:
        gauge.work(0.0001)
        sleep(0.001)
        gauge.work(0.0001)
        yield_now()
        gauge.work(0.0001)

    with limit(2):
        fetch_all([spawn(sleeper, i) for i in range(100)])
    assert gauge.most <= 2
    assert gauge.calls == 300


def test_between_two_waits_nothing_else_runs() -> None:
    """What code that is not fit for threads needs: here, a counter."""
    count = 0

    def add() -> None:
        nonlocal count
        for _ in range(20):
            seen = count
            checkpoint()
            time.sleep(0)
            count = seen + 1
            yield_now()

    with limit(1):
        fetch_all([spawn(add) for _ in range(20)])
    assert count == 400


def test_one_that_yields_until_others_are_done_lets_them() -> None:
    for where in (here, in_task, in_thread):

        def block() -> None:
            with limit(1):
                tasks = [spawn(gauge.work) for _ in range(10)]
                while not all(task.done() for task in tasks):
                    yield_now()

        gauge = Gauge()
        where(block)
        assert gauge.most == 1


def test_two_that_yield_take_turns() -> None:
    """Each on a thread of its own: neither keeps the place by coming back first."""
    turns: list[str] = []

    def taker(name: str, other: str) -> None:
        while turns.count(name) < 20:
            if turns and turns[-1] == name and turns.count(other) < 20:
                yield_now()
            else:
                turns.append(name)

    with limit(1):
        fetch_all([spawn(taker, "a", "b"), spawn(taker, "b", "a")])
    assert "".join(turns) in ("ab" * 20, "ba" * 20)


def test_a_task_from_outside_can_be_fetched_inside() -> None:
    gauge = Gauge()
    for _ in range(20):
        tasks = [spawn(gauge.work) for _ in range(5)]
        with limit(1):
            inner = [spawn(fetch, task) for task in tasks[1:]]
            fetch(tasks[0])
            fetch_all(inner)


def test_a_task_of_a_limit_can_be_fetched_from_outside_and_from_another() -> None:
    one, two = Gauge(), Gauge()

    def block(gauge: Gauge, others: list[Task[None]]) -> list[Task[None]]:
        with limit(1):
            tasks = [spawn(gauge.work) for _ in range(10)]
            fetch_all(others)
            gauge.work()
            return tasks

    tasks = block(one, [])
    fetch_all(block(two, tasks))
    mixed = [spawn(block, one, block(two, block(one, []))) for _ in range(5)]
    for task in mixed:
        fetch_all(fetch(task))
    assert one.most <= 6  # each block has its own limit
    assert one.now == two.now == 0


def test_pinned_tasks_and_race_and_run_blocking_get_their_turn() -> None:
    gauge = Gauge()

    def block() -> None:
        with limit(1):
            tasks = [pinned(gauge.work) for _ in range(5)]
            tasks += [spawn(gauge.work) for _ in range(5)]
            assert run_blocking(int) == 0
            assert race(int, int) == 0
            for task in tasks:
                fetch(task)

    for where in (here, in_task, in_thread):
        where(block)
    assert gauge.most == 1


def test_threads_of_the_program_have_limits_of_their_own() -> None:
    gauges = [Gauge() for _ in range(4)]

    def block(gauge: Gauge) -> None:
        with limit(1):
            gauge.enter()
            tasks = [spawn(gauge.work) for _ in range(20)]
            gauge.leave()
            fetch_all(tasks)

    threads = [threading.Thread(target=block, args=(gauge,)) for gauge in gauges]
    for thread in threads:
        thread.start()
    join(*threads)
    assert [gauge.most for gauge in gauges] == [1] * 4


def test_one_that_waits_for_its_turn_can_be_cancelled() -> None:
    with Gate() as gate:

        def hold() -> None:
            fetch(gate.task)

        with limit(1):
            tasks = [spawn(hold) for _ in range(10)]
            for task in tasks[1:]:
                assert task.cancel()
            gate.open()
            fetch(tasks[0])
        for task in tasks[1:]:
            with pytest.raises(CancelledError):
                fetch(task)


def test_failures_give_the_place_back() -> None:
    with limit(1):
        for _ in range(10):
            tasks = [spawn(divmod, 1, 0) for _ in range(5)]
            for task in tasks:
                with pytest.raises(ZeroDivisionError):
                    fetch(task)
        assert fetch(spawn(int)) == 0


def test_a_block_that_a_task_does_not_leave_ends_with_the_task() -> None:
    kept = []

    def enters() -> None:
        block = limit(1)
        kept.append(block)  # others append theirs at the same time
        block.__enter__()

    gauge = Gauge()
    with limit(2):
        fetch_all([spawn(enters) for _ in range(10)])
        fetch_all([spawn(gauge.work) for _ in range(20)])
    with pytest.raises(RuntimeError, match="left by the task that has entered it"):
        kept[0].__exit__(None, None, None)


def test_a_chain_of_tasks_that_spawn_within_limits_costs_the_same_at_its_end() -> None:
    # If each limit held on to the one around it this took minutes.
    done = Event()

    def step(left: int) -> None:
        if left:
            with limit(2):
                spawn(step, left - 1)
        else:
            done.set()

    spawn(step, 50_000)
    assert done.wait(timeout=100)


def test_limits_in_limits_hold_in_every_order_of_size() -> None:
    def nest(sizes: tuple[int, ...], least: int) -> None:
        with limit(sizes[0]):
            gauge, least = Gauge(), min(least, sizes[0])
            tasks = [spawn(gauge.work) for _ in range(8)]
            if sizes[1:]:
                nest(sizes[1:], least)
            tasks += [spawn(gauge.work) for _ in range(4)]
        fetch_all(tasks)
        assert gauge.calls == 12
        assert gauge.most <= least

    for sizes in permutations([1, 2, 3, 3]):
        nest(sizes, 4)
        fetch(spawn(nest, sizes, 4))


def test_misuse_says_what_to_do() -> None:
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=f"at least, not {wrong}"):
            limit(wrong)
    for type_error in (1.5, "1", None, True):
        with pytest.raises(TypeError, match="takes a number of tasks"):
            limit(type_error)  # type: ignore[arg-type]
    once = limit(10**30)
    assert repr(limit(3)) == "limit(3)"
    assert limit(n=3).n == 3
    with once:
        pass
    with pytest.raises(RuntimeError, match="entered once"), once:
        pass
    with pytest.raises(RuntimeError, match="left by the task"):
        limit(1).__exit__(None, None, None)
    with limit(3) as outer, limit(2):
        with pytest.raises(RuntimeError, match="innermost first"):
            outer.__exit__(None, None, None)


def test_locks_and_limits_do_not_wait_for_each_other() -> None:
    lock, gauge = Lock(), Gauge()

    def both(i: int) -> None:
        if i % 2:
            with lock, limit(1):
                fetch(spawn(gauge.work, 0.0001))
        else:
            with limit(1), lock:
                fetch(spawn(gauge.work, 0.0001))

    with limit(1):
        fetch_all([spawn(both, i) for i in range(40)])
    assert gauge.most == 1


def test_an_event_loop_gives_its_place_up_while_it_awaits() -> None:
    gauge = Gauge()

    async def awaits() -> None:
        await asyncio.gather(*[spawn(gauge.work) for _ in range(10)])

    def block() -> None:
        with limit(1):
            asyncio.run(awaits())
            gauge.enter()
            task = spawn(gauge.work)
            time.sleep(0.001)
            gauge.leave()
            fetch(task)

    for where in (here, in_task):
        where(block)
    assert gauge.most == 1


def test_entries_of_fetched_tasks_do_not_pile_up() -> None:
    with limit(1):
        for _ in range(2000):
            fetch(spawn(int))
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(20_000):
            fetch(spawn(int))
        gc.collect()
        assert len(gc.get_objects()) - before < 5000


def test_a_limit_dies_with_what_was_spawned_under_it() -> None:
    class Witness:
        def __call__(self) -> None:
            pass

    import weakref

    witness = Witness()
    seen = weakref.ref(witness)
    with limit(2), limit(1):
        tasks = [spawn(witness) for _ in range(20)]
        tasks[3].cancel()
        wait(*tasks)
    del witness, tasks
    until(lambda: seen() is None)
