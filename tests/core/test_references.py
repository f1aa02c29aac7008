"""What a task holds, and until when: arguments, results, failures, cycles."""

from __future__ import annotations

import contextvars
import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.gates import Gate, pinned, until, until_suspended

import taskrt
from taskrt import Spawner, Task, current_task, fetch, spawn, wait


class Thing:
    """Something that can be watched dying, and be part of a cycle."""

    link: object = None

    def __call__(self, *args: object, **kwargs: object) -> None:
        pass


class Boom(Exception):
    pass


def watch(things: list[Thing]) -> list[weakref.ref[Thing]]:
    return [weakref.ref(thing) for thing in things]


def is_gone(*refs: weakref.ref[Any]) -> Callable[[], bool]:
    """Whether all are dead, without help of the collector as far as that is up to us.

    Free-threaded interpreters count references by thread; a collection settles those
    that another thread has given up.
    """

    def gone() -> bool:
        if not has_gil():
            gc.collect()
        return all(ref() is None for ref in refs)

    return gone


def is_collected(ref: weakref.ref[Thing]) -> Callable[[], bool]:
    return lambda: gc.collect() >= 0 and ref() is None


def has_gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


@pytest.fixture(autouse=True)
def no_luck() -> Iterator[None]:
    """Keep the collector from running by itself: what dies, dies by its count."""
    gc.collect()
    threshold = gc.get_threshold()
    gc.set_threshold(0)
    yield
    gc.set_threshold(*threshold)


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "inline"])
def test_arguments_and_function_go_when_the_task_ends(
    spawner: Callable[..., Task[None]],
) -> None:
    things = [Thing() for _ in range(4)]
    refs = watch(things)
    task = spawner(things[0], things[1], things[2], key=things[3])
    wait(task)
    things.clear()
    until(is_gone(*refs))
    assert task.done()


def test_arguments_go_when_the_task_fails() -> None:
    def fail(thing: Thing) -> None:
        del thing
        raise Boom

    thing = Thing()
    ref = weakref.ref(thing)
    task = spawn(fail, thing)
    wait(task)
    del thing
    task.defuse()
    until(is_gone(ref))
    assert isinstance(task.exception(), Boom)


def test_arguments_go_when_the_task_is_cancelled_before_its_start() -> None:
    thing = Thing()
    ref = weakref.ref(thing)
    task = pinned(thing, thing)
    del thing
    assert ref() is not None
    task.cancel()
    until(is_gone(ref))


def test_pending_task_keeps_its_arguments_alive() -> None:
    ref = weakref.ref(thing := Thing())
    task = pinned(thing)
    del thing
    gc.collect()
    assert ref() is not None
    fetch(task)
    until(is_gone(ref))


def test_suspended_task_keeps_its_arguments_alive() -> None:
    def hold(thing: Thing) -> bool:
        fetch(gate.task)
        return isinstance(thing, Thing)

    with Gate() as gate:
        ref = weakref.ref(thing := Thing())
        task = spawn(hold, thing)
        del thing
        until_suspended(task)
        gc.collect()
        assert ref() is not None
        gate.open()
        assert fetch(task)
    until(is_gone(ref))


def test_result_lives_as_long_as_the_task() -> None:
    task = spawn(Thing)
    ref = weakref.ref(fetch(task))
    gc.collect()
    assert ref() is not None
    del task
    until(is_gone(ref))


def test_task_dies_with_its_last_reference() -> None:
    task = pinned(int)
    ref = weakref.ref(task)
    fetch(task)
    del task
    until(is_gone(ref))


def test_task_that_nobody_holds_runs_and_dies() -> None:
    ref = weakref.ref(pinned(int))
    assert ref() is not None
    until(is_gone(ref))


def test_context_goes_with_the_task() -> None:
    var: contextvars.ContextVar[Thing] = contextvars.ContextVar("var")

    def change(thing: Thing) -> None:
        var.set(thing)

    ref = weakref.ref(thing := Thing())
    task = spawn(change, thing)
    wait(task)
    del thing
    until(is_gone(ref))
    assert task.done()


def test_callback_goes_when_it_has_run() -> None:
    ref = weakref.ref(callback := Thing())
    task = pinned(int)
    task.add_done_callback(callback)
    del callback
    assert ref() is not None
    fetch(task)
    until(is_gone(ref))


def test_locals_of_a_failed_task_go_with_it() -> None:
    def fail() -> None:
        thing = Thing()
        refs.append(weakref.ref(thing))
        raise Boom

    refs: list[weakref.ref[Thing]] = []
    task = spawn(fail)
    assert isinstance(task.exception(), Boom)
    assert refs[0]() is not None
    del task
    until(lambda: gc.collect() >= 0 and refs[0]() is None)


def test_fetch_of_a_failure_leaves_no_reference_to_the_fetcher() -> None:
    def ask(task: Task[object]) -> weakref.ref[Thing]:
        thing = Thing()
        try:
            fetch(task)
        except Boom:
            pass
        return weakref.ref(thing)

    def fail() -> None:
        raise Boom

    task = spawn(fail)
    wait(task)  # or the frames that ran it would be those of the first to ask
    refs = [ask(task) for _ in range(3)]
    assert isinstance(task.exception(), Boom)
    until(is_gone(*refs[:2]))


# --- cycles ---------------------------------------------------------------------------


def test_cycle_of_a_task_and_its_result_is_collected() -> None:
    task = spawn(Thing)
    thing = fetch(task)
    thing.link = task
    refs = weakref.ref(thing), weakref.ref(task)
    del thing, task
    until(is_collected(refs[0]))
    assert refs[1]() is None


def test_cycle_that_goes_through_many_tasks_is_collected() -> None:
    tasks = [spawn(Thing) for _ in range(50)]
    things = [fetch(task) for task in tasks]
    for thing, task in zip(things, [*tasks[1:], tasks[0]], strict=True):
        thing.link = task
    ref = weakref.ref(things[0])
    del tasks, things, thing, task
    until(is_collected(ref))


def test_cycle_of_a_task_and_its_failure_is_collected() -> None:
    def fail() -> None:
        thing = Thing()
        thing.link = current_task()
        refs.append(weakref.ref(thing))
        raise Boom(thing)

    refs: list[weakref.ref[Thing]] = []
    task: Task[None] | None = spawn(fail)
    assert task is not None
    assert isinstance(task.exception(), Boom)
    task = None
    until(lambda: gc.collect() >= 0 and refs[0]() is None)


def test_cycle_through_an_argument_is_broken_by_the_end_of_the_task() -> None:
    ref = weakref.ref(thing := Thing())
    task = pinned(thing)
    thing.link = task
    del thing
    fetch(task)
    del task
    until(is_gone(ref))


def test_cycle_through_the_context_is_broken_by_the_end_of_the_task() -> None:
    var: contextvars.ContextVar[Thing] = contextvars.ContextVar("var")

    def remember(thing: Thing) -> None:
        thing.link = current_task()
        var.set(thing)

    ref = weakref.ref(thing := Thing())
    task = spawn(remember, thing)
    wait(task)
    del thing, task
    until(is_gone(ref))


def test_cycle_through_a_callback_is_broken_by_the_end_of_the_task() -> None:
    ref = weakref.ref(callback := Thing())
    task = pinned(int)
    callback.link = task
    task.add_done_callback(callback)
    del callback
    fetch(task)
    del task
    until(is_gone(ref))


def test_a_collection_in_the_middle_of_everything_harms_nothing() -> None:
    def collect(depth: int) -> int:
        junk: list[object] = [Thing()]
        junk.append(junk)
        if depth == 0:
            gc.collect()
            return 0
        tasks = [spawn(collect, depth - 1) for _ in range(3)]
        if depth == 2:
            gc.collect()
        return 1 + max(map(fetch, tasks))

    with Gate() as gate:
        held = [spawn(fetch, gate.task) for _ in range(20)]
        until_suspended(*held)
        assert [fetch(t) for t in [spawn(collect, 3) for _ in range(4)]] == [3] * 4
        gate.open()
        assert wait(*held)


def test_finalizer_in_a_collection_may_spawn_and_wait() -> None:
    class Dying:
        def __init__(self, task: Task[int] | None) -> None:
            self.itself = self
            self.task = task

        def __del__(self) -> None:
            values.append(fetch(spawn(int)) if self.task is None else fetch(self.task))

    values: list[int] = []
    finished = spawn(int)
    wait(finished)
    Dying(None)
    Dying(finished)
    Dying(pinned(int))
    gc.collect()
    until(lambda: len(values) == 3)
    assert values == [0, 0, 0]


# --- counts ---------------------------------------------------------------------------


def spawn_and_fetch(thing: Thing) -> None:
    fetch(spawn(thing, thing, key=thing))
    fetch(pinned(thing, thing))


def spawn_and_fail(thing: Thing) -> None:
    def fail(thing: Thing) -> None:
        raise Boom(thing)

    for spawner in (spawn, pinned):
        task = spawner(fail, thing)
        try:
            fetch(task)
        except Boom:
            pass
        else:
            raise AssertionError


def spawn_and_cancel(thing: Thing) -> None:
    pinned(thing, thing).cancel()
    with Gate() as gate:
        task = spawn(lambda _: fetch(gate.task), thing)
        until_suspended(task)
        task.cancel()
        wait(task)


def spawn_and_suspend(thing: Thing) -> None:
    with Gate(thing) as gate:
        tasks = [spawn(lambda _: fetch(gate.task), thing) for _ in range(3)]
        until_suspended(*tasks)
        gate.open()
        assert all(fetch(task) is thing for task in tasks)


def spawn_with_everything(thing: Thing) -> None:
    context = contextvars.copy_context()
    task = Spawner(name="name", context=context)(lambda: thing)
    task.add_done_callback(thing)
    assert fetch(task) is thing
    assert wait(task, timeout=1)
    try:
        task.result("soon")  # type: ignore[arg-type]
    except TypeError:
        pass


def misuse(thing: Thing) -> None:
    calls: list[Any] = [spawn, fetch, wait, Spawner(name="n"), Task]
    for call in calls:
        try:
            call(None, thing, key=thing)
        except TypeError:
            pass
        else:
            raise AssertionError


@pytest.mark.parametrize(
    "use",
    [
        spawn_and_fetch,
        spawn_and_fail,
        spawn_and_cancel,
        spawn_and_suspend,
        spawn_with_everything,
        misuse,
    ],
)
def test_reference_counts_are_back_where_they_were(
    use: Callable[[Thing], None],
) -> None:
    def count() -> int:
        """Queues may hold finished tasks until somebody comes by."""
        until(lambda: not taskrt.yield_now())
        gc.collect()
        return sys.getrefcount(thing)

    thing = Thing()
    before = count()
    for _ in range(20):
        use(thing)
    until(lambda: count() <= before)
    assert count() == before
