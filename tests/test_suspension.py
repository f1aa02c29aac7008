"""Tasks that run in the caller, and tasks that let others run while they wait."""

from __future__ import annotations

import functools
import operator
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest
from support.gates import Gate, pinned, until_suspended

import taskrt
from taskrt import current_task, fetch, spawn, wait

# --- running in the caller ------------------------------------------------------------


def names_on_the_stack() -> list[str]:
    return [frame.name for frame in traceback.extract_stack()]


def test_fetch_runs_a_pending_task_as_a_plain_call() -> None:
    assert "test_fetch_runs_a_pending_task_as_a_plain_call" in fetch(
        pinned(names_on_the_stack)
    )


def test_wait_with_a_timeout_does_not_run_the_task_on_top() -> None:
    task = pinned(names_on_the_stack)
    assert "test_wait_with_a_timeout_does_not_run_the_task_on_top" not in fetch(
        task, 60
    )


def test_current_task_is_the_childs_while_it_runs() -> None:
    def parent() -> object:
        me = current_task()
        child = pinned(current_task)
        assert fetch(child) is child
        assert current_task() is me
        failing = pinned(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fetch(failing)
        assert current_task() is me
        return me

    assert current_task() is None
    task = spawn(parent)
    assert fetch(task) is task
    assert current_task() is None


def test_current_task_on_a_foreign_thread() -> None:
    seen: list[object] = []

    def run() -> None:
        seen.append(current_task())
        task = spawn(current_task)
        seen.append(fetch(task) is task)
        seen.append(current_task())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [None, True, None]


# --- suspension -----------------------------------------------------------------------


def test_a_task_resumes_on_the_thread_that_started_it() -> None:
    def stay(task: taskrt.Task[object]) -> bool:
        before = threading.get_ident(), taskrt.thread_id()
        fetch(task)
        return before == (threading.get_ident(), taskrt.thread_id())

    with Gate() as gate:
        tasks = [spawn(stay, gate.task) for _ in range(100)]
        until_suspended(*tasks)
        gate.open()
        assert all(map(fetch, tasks))


def test_current_task_survives_suspension() -> None:
    def look(task: taskrt.Task[object]) -> object:
        before = current_task()
        fetch(task)
        return before is current_task()

    with Gate() as gate:
        tasks = [spawn(look, gate.task) for _ in range(20)]
        until_suspended(*tasks)
        gate.open()
        assert all(map(fetch, tasks))


class Weigher:
    """Suspends wherever Python or C code calls back."""

    def __init__(self, task: taskrt.Task[object]) -> None:
        self.task = task

    def __getattr__(self, name: str) -> object:
        return fetch(self.task)

    def __getitem__(self, key: object) -> object:
        return fetch(self.task)

    def __iter__(self) -> object:
        yield fetch(self.task)

    def __enter__(self) -> object:
        return fetch(self.task)

    def __exit__(self, *error: object) -> object:
        return fetch(self.task) and False

    def __call__(self, *args: object) -> object:
        return fetch(self.task)

    def __index__(self) -> object:
        return fetch(self.task)

    def __eq__(self, other: object) -> bool:
        return bool(fetch(self.task))

    __hash__ = None  # type: ignore[assignment]


def with_statement(weigher: Weigher) -> object:
    with weigher as value:
        return value


def try_finally(weigher: Weigher) -> object:
    try:
        return weigher()
    finally:
        weigher()


def except_clause(weigher: Weigher) -> object:
    try:
        raise ValueError("the first")
    except ValueError as error:
        value = weigher()
        try:
            raise
        except ValueError as again:
            assert again is error
        return value


def generator_in_use(weigher: Weigher) -> object:
    def produce() -> Iterator[object]:
        yield weigher()
        yield weigher()

    first, second = produce()
    return first if first == second else None


@pytest.mark.parametrize(
    "suspend",
    [
        lambda w: w.attribute,
        lambda w: w["key"],
        lambda w: next(iter(w)),
        lambda w: list(map(w, [1]))[0],
        lambda w: max([5, 6, 7], key=w) and w(),
        lambda w: sorted([3, 2, 1], key=w) == [3, 2, 1] and w(),
        lambda w: functools.reduce(w, [1, 2, 3]),
        lambda w: operator.index(w),
        lambda w: [0].count(w) == 1 and w(),
        lambda w: [x for x in (w() for _ in range(3))][2],
        lambda w: eval("w()", {"w": w}),
        with_statement,
        try_finally,
        except_clause,
        generator_in_use,
    ],
)
def test_a_task_suspends_anywhere_in_the_call_tree(
    suspend: Callable[[Weigher], object],
) -> None:
    with Gate(7) as gate:
        weigher = Weigher(gate.task)
        tasks = [spawn(suspend, weigher) for _ in range(5)]
        until_suspended(*tasks)
        gate.open()
        assert [fetch(t) for t in tasks] == [7] * 5


def test_suspended_tasks_take_no_threads() -> None:
    natives = set()

    def note(task: taskrt.Task[object]) -> None:
        natives.add(threading.get_native_id())
        fetch(task)
        natives.add(threading.get_native_id())

    with Gate() as gate:
        tasks = [spawn(note, gate.task) for _ in range(500)]
        until_suspended(*tasks)
        gate.open()
        wait(*tasks)
    assert len(natives) <= taskrt.num_threads()
