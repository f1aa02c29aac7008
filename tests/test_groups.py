"""TaskGroup: its end waits for all tasks, and gathers what went wrong."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from support.ends import fail, types_of, until_all_suspended, wait_for_ever
from support.gates import until
from support.places import Place

import taskrt
from taskrt import (
    CancelScope,
    TaskGroup,
    checkpoint,
    fetch,
    sleep,
    spawn,
    wait,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

NEVER = 1e6


# --- all goes well --------------------------------------------------------------------


def test_an_empty_group(run: Place) -> None:
    def body() -> None:
        with TaskGroup() as group:
            pass
        assert group.results == []

    run(body)


def test_results_come_in_spawn_order(run: Place) -> None:
    def body() -> None:
        with TaskGroup() as group:
            for n in range(100):
                group.spawn(pow, n, 2)
        assert group.results == [n * n for n in range(100)]

    run(body)


def test_keywords_reach_the_function() -> None:
    with TaskGroup() as group:
        task = group.spawn(int, "ff", base=16)
    assert fetch(task) == 255


def test_the_end_waits_for_all(run: Place) -> None:
    def body() -> None:
        ended = []
        with TaskGroup() as group:
            for n in range(10):
                group.spawn(lambda n=n: (sleep(0.001), ended.append(n)))
        assert sorted(ended) == list(range(10))

    run(body)


def test_grandchildren_are_waited_for(run: Place) -> None:
    def body() -> None:
        ended = []

        def child(depth: int) -> None:
            taskrt.yield_now()
            if depth:
                group.spawn(child, depth - 1)
                group.spawn(child, depth - 1)
            ended.append(depth)

        with TaskGroup() as group:
            group.spawn(child, 6)
        assert len(ended) == 2**7 - 1

    run(body)


def test_a_long_chain_of_children() -> None:
    def child(n: int) -> None:
        if n:
            group.spawn(child, n - 1)

    with TaskGroup() as group:
        group.spawn(child, 3000)
    assert len(group.results) == 3001


def test_groups_inside_groups(run: Place) -> None:
    def branch(depth: int) -> int:
        if depth == 0:
            return 1
        with TaskGroup() as group:
            tasks = [group.spawn(branch, depth - 1) for _ in range(3)]
        return sum(map(fetch, tasks))

    def body() -> None:
        assert branch(5) == 3**5

    run(body)


def test_another_thread_spawns_into_it() -> None:
    event = Event()
    with TaskGroup() as group:
        group.spawn(event.wait)

        def foreign() -> None:
            for n in range(50):
                group.spawn(int, n)
            event.set()

        thread = threading.Thread(target=foreign)
        thread.start()
    thread.join()
    assert group.results == [True, *range(50)]


def test_results_are_there_when_the_block_has_ended() -> None:
    with TaskGroup() as group:
        with pytest.raises(RuntimeError, match="once its block has ended"):
            _ = group.results
    assert group.results == []


# --- late and early spawns, misuse ----------------------------------------------------


def test_a_spawn_after_the_end_is_refused() -> None:
    with TaskGroup() as group:
        pass
    with pytest.raises(RuntimeError, match="block has ended"):
        group.spawn(int)


def test_a_spawn_before_the_block_is_refused() -> None:
    with pytest.raises(RuntimeError, match="enter it first"):
        TaskGroup().spawn(int)


def test_a_group_is_entered_once() -> None:
    group = TaskGroup()
    with group:
        with pytest.raises(RuntimeError, match="once"):
            group.__enter__()
    with pytest.raises(RuntimeError, match="once"):
        group.__enter__()


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="on_error"):
        TaskGroup(on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit"):
        TaskGroup(limit=0)
    for wrong in (1.5, "3", True):
        with pytest.raises(TypeError, match="limit"):
            TaskGroup(limit=wrong)  # type: ignore[arg-type]
    with TaskGroup() as group:
        with pytest.raises(TypeError):
            group.spawn(5)  # type: ignore[arg-type]
    assert group.results == []


# --- failures of tasks ----------------------------------------------------------------


def test_a_single_failure_is_a_group_all_the_same(run: Place) -> None:
    def body() -> None:
        error = ValueError("mine")
        with pytest.raises(ExceptionGroup) as caught:
            with TaskGroup() as group:
                group.spawn(fail, error)
        assert caught.value.exceptions == (error,)
        assert group.results == [None]

    run(body)


def test_the_first_failure_cancels_the_others(run: Place) -> None:
    def body() -> None:
        trail: list[object] = []
        with pytest.raises(ExceptionGroup) as caught:
            with TaskGroup() as group:
                waiting = [group.spawn(wait_for_ever, trail, n) for n in range(5)]
                until_all_suspended(*waiting)
                group.spawn(fail, ValueError())
        assert types_of(caught.value) == [ValueError]
        assert sorted(trail, key=str) == [0, 1, 2, 3, 4]
        assert all(task.cancelled() for task in waiting)

    run(body)


def test_the_first_failure_ends_the_block() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(fail, ValueError())
            Event().wait()
            pytest.fail("not reached")
    assert types_of(caught.value) == [ValueError]


def test_failures_come_in_spawn_order() -> None:
    for _ in range(20):
        event = Event()

        def fail_later(n: int, event: Event = event) -> None:
            with CancelScope(shield=True):
                event.wait()
            raise ValueError(n)

        with pytest.raises(ExceptionGroup) as caught:
            with TaskGroup() as group:
                tasks = [group.spawn(fail_later, n) for n in range(10)]
                until_all_suspended(*tasks)
                event.set()
        assert [error.args for error in caught.value.exceptions] == [
            (n,) for n in range(10)
        ]


def test_with_wait_the_others_go_on(run: Place) -> None:
    def body() -> None:
        event = Event()

        def fail_first() -> None:
            event.set()
            raise ValueError

        with pytest.raises(ExceptionGroup) as caught:
            with TaskGroup(on_error="wait") as group:
                other = group.spawn(lambda: (event.wait(), checkpoint(), "done"))
                group.spawn(fail_first)
                group.spawn(fail, KeyError())
        assert types_of(caught.value) == [ValueError, KeyError]
        assert fetch(other)[2] == "done"

    run(body)


def test_a_base_exception_makes_a_base_group() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        with TaskGroup(on_error="wait") as group:
            group.spawn(fail, SystemExit(3))
            group.spawn(fail, ValueError())
    assert not isinstance(caught.value, ExceptionGroup)
    assert types_of(caught.value) == [SystemExit, ValueError]


def test_failures_of_a_group_count_as_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", reports.append)
    with pytest.raises(ExceptionGroup):
        with TaskGroup() as group:
            group.spawn(fail, ValueError())
    del group
    gc.collect()
    fetch(spawn(int))
    assert reports == []


def test_a_task_that_fails_in_its_cleanup_counts() -> None:
    def clean_up() -> None:
        try:
            Event().wait()
        finally:
            raise KeyError("cleanup")

    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            until_all_suspended(group.spawn(clean_up))
            group.spawn(fail, ValueError())
    assert types_of(caught.value) == [KeyError, ValueError]


def test_who_waits_for_a_cancelled_sibling_is_cancelled_itself() -> None:
    """Its CancelledError would be a failure that nobody has made."""
    for _ in range(50):
        with TaskGroup() as group:
            first = group.spawn(Event().wait)
            chain = [first]
            for _ in range(10):
                chain.append(group.spawn(fetch, chain[-1]))
            group.cancel()
        assert all(task.cancelled() for task in chain)


def test_a_task_that_was_cancelled_alone_is_no_error() -> None:
    with TaskGroup() as group:
        task = group.spawn(Event().wait)
        other = group.spawn(int, "7")
        task.cancel()
    assert task.cancelled()
    assert fetch(other) == 7
    assert group.results == [None, 7]


def test_nested_groups_nest_their_errors() -> None:
    def inner() -> None:
        with TaskGroup() as group:
            group.spawn(fail, ValueError("inner"))

    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(inner)
    (error,) = caught.value.exceptions
    assert isinstance(error, ExceptionGroup)
    assert types_of(error) == [ValueError]


def test_of_ten_thousand_one_fails(run: Place) -> None:
    def body() -> None:
        started = []

        def child(n: int) -> None:
            if n == 5000:
                raise ValueError(n)
            started.append(n)
            Event().wait()

        with pytest.raises(ExceptionGroup) as caught:
            with TaskGroup() as group:
                tasks = [group.spawn(child, n) for n in range(10_000)]
        assert [error.args for error in caught.value.exceptions] == [(5000,)]
        assert sum(task.cancelled() for task in tasks) == 9_999

    run(body)


@pytest.mark.stress
def test_a_hundred_thousand_suspended_tasks_all_clean_up() -> None:
    trail: list[object] = []
    with TaskGroup() as group:
        tasks = [group.spawn(wait_for_ever, trail, n) for n in range(100_000)]
        until_all_suspended(*tasks[-1:], *tasks[:1])
        until(lambda: all(task.state == "suspended" for task in tasks))
        group.cancel()
    assert sorted(trail, key=lambda n: int(str(n))) == list(range(100_000))
    assert all(task.cancelled() for task in tasks)


# --- limit ----------------------------------------------------------------------------


def test_a_limit_bounds_how_many_there_are(run: Place) -> None:
    def body() -> None:
        now: list[int] = []
        most: list[int] = []

        def child(n: int) -> None:
            now.append(n)
            most.append(len(now))
            taskrt.yield_now()
            sleep(0)
            now.remove(n)

        with TaskGroup(limit=3) as group:
            for n in range(60):
                group.spawn(child, n)
        assert len(group.results) == 60
        assert max(most) <= 3

    run(body)


def test_a_cancelled_task_makes_room() -> None:
    with TaskGroup(limit=1) as group:
        for _ in range(20):
            group.spawn(Event().wait).cancel()
    assert group.results == [None] * 20


def test_a_failed_task_makes_room() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup(limit=2, on_error="wait") as group:
            for n in range(20):
                group.spawn(fail, ValueError(n))
    assert len(caught.value.exceptions) == 20


def test_a_spawn_that_waits_for_room_can_be_cancelled(run: Place) -> None:
    def body() -> None:
        with TaskGroup(limit=1) as group:
            group.spawn(Event().wait)
            thread = threading.Timer(0.005, group.cancel)
            thread.start()
            group.spawn(int)
            pytest.fail("not reached")
        thread.join()

    run(body)


# --- life -----------------------------------------------------------------------------


class Value:
    pass


def test_a_long_lived_group_holds_what_lives() -> None:
    """Of children that have ended and returned None nothing is left."""
    with TaskGroup() as group:
        for _ in range(100):
            batch = [group.spawn(lambda: None) for _ in range(100)]
            wait(*batch)
        del batch
        gc.collect()
        assert group._kept <= 300
    assert group.results == [None] * 10_000


def test_a_group_and_its_tasks_die() -> None:
    made = []

    def child() -> Value:
        value = Value()
        made.append(weakref.ref(value))
        return value

    def failing() -> None:
        value = Value()
        made.append(weakref.ref(value))
        raise ValueError(value)

    try:
        with TaskGroup(on_error="wait") as group:
            group.spawn(child)
            group.spawn(failing)
    except ExceptionGroup:
        pass
    assert len(made) == 2
    del group
    gc.collect()
    until(lambda: gc.collect() is not None and not any(ref() for ref in made))
