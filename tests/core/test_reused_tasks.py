"""Tasks one after another, whose objects may lie at the same place in memory."""

from __future__ import annotations

import gc
import weakref

import pytest

from taskrt import Spawner, Task, current_task, fetch, limit, spawn, wait

MANY = 100


class Thing:
    """Something that can be watched dying."""


def count(*args: object, **kwargs: object) -> int:
    return len(args) + len(kwargs)


def run_many() -> None:
    """Leave the memory of tasks behind, with some numbers of arguments."""
    for args in ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)):
        tasks = [spawn(count, *args) for _ in range(MANY)]
        assert {fetch(task) for task in tasks} == {len(args)}


def fail() -> None:
    raise ValueError("expected")


def own_state() -> tuple[object, str, bool]:
    task: Task[object] | None = current_task()
    assert task is not None
    return task.id, task.state, gc.is_tracked(task)


def test_each_has_its_own_arguments_and_names_of_them() -> None:
    run_many()
    for n in range(5):
        assert fetch(spawn(count, *range(n))) == n
        assert fetch(spawn(count, *range(n), key=n)) == n + 1
        assert fetch(spawn(count, a=1, b=2, c=n)) == 3


def test_each_has_its_own_number() -> None:
    run_many()
    tasks = [spawn(own_state) for _ in range(MANY)]
    states = [fetch(task) for task in tasks]
    assert len({number for number, _, _ in states}) == MANY
    assert {(state, tracked) for _, state, tracked in states} == {("running", False)}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_failure_is_reported_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[BaseException | None] = []
    monkeypatch.setattr(
        "sys.unraisablehook", lambda report: reports.append(report.exc_value)
    )
    for _ in range(MANY):
        run_one = spawn(count)
        assert fetch(run_one) == 0
        del run_one  # its memory is the next one's
        task = spawn(fail)
        wait(task)
        del task
    gc.collect()
    assert [str(error) for error in reports] == ["expected"] * MANY


def test_a_weak_reference_does_not_see_the_next() -> None:
    for _ in range(20):
        task = spawn(count)
        ref = weakref.ref(task)
        assert fetch(task) == 0
        del task
        gc.collect(0)
        following = spawn(count, 1)
        assert ref() is None
        assert fetch(following) == 1


def test_a_value_dies_with_its_task() -> None:
    for _ in range(20):
        task = spawn(Thing)
        ref = weakref.ref(fetch(task))
        del task
        gc.collect(0)
        assert ref() is None


def test_a_name_and_a_limit_are_not_inherited() -> None:
    named = Spawner(name="first")
    for _ in range(MANY):
        task = named(count)
        assert (fetch(task), task.name) == (0, "first")
        del task
        assert spawn(count).name.startswith("Task-")
    with limit(1):
        assert fetch(spawn(count, 1)) == 1
    assert fetch(spawn(fetch, spawn(count, 1, 2))) == 2  # two at a time


def test_collected_and_lazy_tasks_are_not_mixed_up() -> None:
    for _ in range(5):
        lazy = [Task(count, n) for n in range(MANY)]
        for task in lazy[::2]:
            task.schedule()
        gc.collect()
        assert [fetch(task) for task in lazy] == [1] * MANY
        del lazy, task
        run_many()
