"""Blocks of isolated(): how they and the waits in them end, and what they leave."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from collections.abc import Callable

import greenlet
import pytest
from support.gates import here, join, pinned, until
from support.places import in_task, in_thread
from support.trees import tree

from taskrt import (
    CancelledError,
    CancelScope,
    Event,
    Spawner,
    Task,
    fail_after,
    fetch,
    fetch_all,
    isolated,
    limit,
    move_on_after,
    sleep,
    spawn,
)


def test_a_thread_that_ends_in_a_block_leaves_nothing_to_the_next() -> None:
    for _ in range(5):
        in_thread(lambda: isolated().__enter__())
        order: list[int] = []

        def body(order: list[int] = order) -> None:
            task = pinned(order.append, 1)
            fetch(task)

        in_thread(body)
        assert order == [1]


def test_waits_in_a_block_end_as_anywhere() -> None:
    def body() -> None:
        with isolated():
            with pytest.raises(TimeoutError, match="has not ended"):
                fetch(spawn(Event().wait, 0.05), timeout=0.001)
            with move_on_after(0.001) as scope:
                Event().wait()
            assert scope.cancel_called
            with pytest.raises(TimeoutError), fail_after(0.001):
                sleep(10)
            with CancelScope() as scope:
                spawn(scope.cancel)
                Event().wait()
            assert scope.cancel_called

    body()
    in_task(body)
    in_thread(body)


def test_a_task_that_waits_in_a_block_can_be_cancelled() -> None:
    ends: list[str] = []

    def waits() -> None:
        with isolated():
            try:
                Event().wait()
            finally:
                ends.append(here().name)

    def body() -> None:
        tasks = [Spawner(name=f"{n}")(waits) for n in range(20)]
        sleep(0.005)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with pytest.raises(CancelledError):
                fetch(task)
        assert len(set(ends)) == len(ends)

    in_thread(
        body
    )  # main would start some itself, and wait for the end of their blocks
    assert fetch(spawn(tree, 2)) == 9


def test_a_program_with_greenlets_of_its_own_in_a_block() -> None:
    def body() -> None:
        with isolated():
            results: list[int] = []
            own = greenlet.greenlet(lambda: results.append(fetch(spawn(tree, 2))))
            own.switch()
            assert results == [9]

    body()
    fetch(spawn(body))
    in_thread(body)


def test_a_block_that_a_task_does_not_leave_ends_with_the_task() -> None:
    def enters() -> None:
        isolated().__enter__()
        isolated().__enter__()
        fetch(spawn(tree, 1))

    fetch_all([spawn(enters) for _ in range(20)])
    order: list[int] = []
    task = pinned(order.append, 1)
    fetch(spawn(enters))
    fetch(task)
    assert order == [1]


def test_what_the_block_leaves_behind_is_like_any_other() -> None:
    tasks: list[Task[int]] = []
    with isolated():
        tasks += [spawn(tree, 3) for _ in range(3)]
    with isolated():
        tasks += [spawn(tree, 3) for _ in range(3)]
        assert fetch(tasks[0]) == 27  # now from outside
    assert fetch_all(tasks) == [27] * 6


@pytest.mark.parametrize("within", [isolated, lambda: limit(2)])
def test_a_chain_of_tasks_that_spawn_within_blocks_costs_the_same_at_its_end(
    within: Callable[[], isolated | limit],
) -> None:
    # If each block held on to the one around it this took minutes.
    done = Event()

    def step(left: int) -> None:
        if left:
            with isolated(), within():
                spawn(step, left - 1)
        else:
            done.set()

    spawn(step, 20_000)
    assert done.wait(timeout=100)


def test_a_block_dies_with_what_was_spawned_in_it() -> None:
    class Value:
        pass

    def body() -> weakref.ref[Value]:
        value = Value()
        with isolated():
            fetch(spawn(lambda: value))
        return weakref.ref(value)

    gone = [fetch(spawn(body)) for _ in range(10)]
    gc.collect()
    until(lambda: not any(ref() for ref in gone))


def test_misuse_says_what_to_do() -> None:
    with pytest.raises(TypeError, match=re.escape("isolated() takes")):
        isolated(1)  # type: ignore[call-arg]
    once = isolated()
    assert repr(once) == "isolated()"
    with once:
        pass
    with (
        pytest.raises(RuntimeError, match="an isolated block can be entered once"),
        once,
    ):
        pass
    with pytest.raises(RuntimeError, match="left by the task that has entered it"):
        isolated().__exit__(None, None, None)
    with isolated() as outer, isolated():
        with pytest.raises(RuntimeError, match="innermost first"):
            outer.__exit__(None, None, None)
    assert fetch(spawn(tree, 1)) == 3


def test_a_plain_thread_waits_in_a_block_of_its_own() -> None:
    event, ready = Event(), threading.Event()

    def body() -> None:
        with isolated():
            ready.set()
            event.wait()

    thread = threading.Thread(target=body)
    thread.start()
    assert ready.wait(30)
    with isolated():
        fetch(spawn(tree, 2))
        event.set()
    join(thread)
