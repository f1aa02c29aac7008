"""Which exceptions a scope takes, what is misuse, how scopes and circles end."""

from __future__ import annotations

import contextlib
import gc
import os
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Self

import greenlet
import pytest
from support.child import UNDER_ASAN
from support.gates import pinned, until
from support.places import in_thread

import taskrt
import taskrt.native
from taskrt import (
    Cancelled,
    CancelScope,
    checkpoint,
    fetch,
    sleep,
    spawn,
    wait,
)
from taskrt._core import Event

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002  # for deadlines that a test waits for
NEVER = 1e6


class Mark:
    pass


# --- which exceptions it takes --------------------------------------------------------


def test_other_exceptions_pass() -> None:
    with pytest.raises(ValueError, match="mine"):
        with CancelScope() as scope:
            scope.cancel()
            raise ValueError("mine")
    assert not scope.cancelled_caught


def test_a_cancelled_that_nobody_asked_for_passes() -> None:
    with pytest.raises(Cancelled):
        with CancelScope() as scope:
            raise Cancelled
    assert not scope.cancelled_caught


def test_a_group_of_nothing_but_cancelled_is_taken() -> None:
    with CancelScope() as scope:
        scope.cancel()
        raise BaseExceptionGroup(
            "", [Cancelled(), BaseExceptionGroup("", [Cancelled()])]
        )
    assert scope.cancelled_caught


def test_the_rest_of_a_group_goes_on() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        with CancelScope() as scope:
            scope.cancel()
            raise BaseExceptionGroup("both", [Cancelled(), ValueError(1), KeyError(2)])
    assert scope.cancelled_caught
    assert caught.value.message == "both"
    assert [type(e) for e in caught.value.exceptions] == [ValueError, KeyError]


def test_a_group_without_cancelled_passes_as_it_is() -> None:
    group = ExceptionGroup("", [ValueError()])
    with pytest.raises(ExceptionGroup) as caught:
        with CancelScope() as scope:
            scope.cancel()
            raise group
    assert caught.value is group
    assert not scope.cancelled_caught


def test_a_group_for_the_outer_one_passes_the_inner_one_whole() -> None:
    group = BaseExceptionGroup("", [Cancelled(), ValueError()])
    with pytest.raises(ExceptionGroup):
        with CancelScope() as outer:
            with pytest.raises(BaseExceptionGroup) as caught:
                with CancelScope() as inner:
                    outer.cancel()
                    inner.cancel()
                    raise group
            assert caught.value is group
            raise group
    assert outer.cancelled_caught
    assert not inner.cancelled_caught


def test_a_task_that_ends_with_a_group_of_cancelled_is_cancelled() -> None:
    def body() -> None:
        raise BaseExceptionGroup("", [Cancelled(), Cancelled()])

    task = spawn(body)
    wait(task)
    assert task.cancelled()


def test_a_tasks_error_has_no_cancelled_in_it() -> None:
    def body() -> None:
        raise BaseExceptionGroup("both", [Cancelled(), ValueError("left")])

    task = spawn(body)
    error = task.exception()
    assert isinstance(error, ExceptionGroup)
    assert [str(e) for e in error.exceptions] == ["left"]


# --- misuse ---------------------------------------------------------------------------


def test_a_scope_is_entered_once() -> None:
    scope = CancelScope()
    with scope:
        with pytest.raises(RuntimeError, match="once"):
            scope.__enter__()
    with pytest.raises(RuntimeError, match="once"):
        scope.__enter__()


def test_a_scope_is_left_by_whoever_entered_it() -> None:
    scope = CancelScope()
    with pytest.raises(RuntimeError, match="left by the task"):
        scope.__exit__(None, None, None)
    fetch(spawn(scope.__enter__))
    with pytest.raises(RuntimeError, match="left by the task"):
        scope.__exit__(None, None, None)


def test_the_innermost_is_left_first() -> None:
    outer, inner = CancelScope(), CancelScope()
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match="innermost first"):
        outer.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="innermost first"):
        inner.__exit__(None, None, None)  # has been left with the other
    assert not inner.__exit__(ValueError, ValueError(), None)


def enter_one() -> Iterator[CancelScope]:
    with CancelScope() as scope:
        yield scope


@pytest.mark.parametrize("late", [False, True])
def test_an_outer_scope_is_left_although_a_generator_is_in_an_inner_one(
    late: bool,
) -> None:
    generator = enter_one()
    with pytest.raises(RuntimeError, match="innermost first"):
        with CancelScope(deadline=0 if late else None) as scope:
            next(generator)
            scope.cancel()
    generator.close()  # type: ignore[attr-defined]
    checkpoint()


def test_an_error_that_passes_has_a_note_instead() -> None:
    generator = enter_one()
    with pytest.raises(ValueError, match="mine") as caught:
        with CancelScope() as scope:
            next(generator)
            scope.cancel()
            raise ValueError("mine")
    assert "innermost first" in caught.value.__notes__[0]
    checkpoint()


def test_a_scope_that_another_thread_has_left_does_not_count() -> None:
    for _ in range(3):
        generator = enter_one()
        scope = next(generator)
        in_thread(generator.close)  # type: ignore[attr-defined]
        scope.cancel()
        checkpoint()
        with CancelScope() as outer:
            outer.cancel()
        with pytest.raises(StopIteration):
            next(generator)


def test_an_abandoned_shield_protects_no_more() -> None:
    def shielded() -> Iterator[None]:
        with CancelScope(shield=True):
            yield

    with CancelScope() as scope:
        generator = shielded()
        next(generator)
        scope.cancel()
        checkpoint()
        in_thread(generator.close)  # type: ignore[attr-defined]
        with pytest.raises(Cancelled):
            checkpoint()


def test_abandoned_scopes_do_not_pile_up() -> None:
    refs = []
    for _ in range(20):
        generator = enter_one()
        mark = Mark()
        refs.append(weakref.ref(mark))
        scope = next(generator)
        in_thread(generator.close)  # type: ignore[attr-defined]
        scope.cancel(mark)
        del mark, scope, generator
        with CancelScope():
            pass
    gc.collect()
    assert not any(ref() for ref in refs)


def test_greenlets_of_the_program_leave_theirs_in_any_order() -> None:
    here = greenlet.getcurrent()
    left: list[int] = []

    def job(n: int) -> None:
        try:
            with CancelScope(deadline=time.monotonic() + SOON):
                here.switch()
        except RuntimeError:
            pass
        left.append(n)

    jobs = [greenlet.greenlet(job) for _ in range(3)]
    for n, each in enumerate(jobs):
        each.switch(n)
    for each in jobs:
        each.switch()
    assert left == [0, 1, 2]
    sleep(2 * SOON)
    checkpoint()


def test_a_task_that_forgets_to_leave_leaves() -> None:
    scope = CancelScope()

    def forget() -> None:
        scope.__enter__()
        scope.cancel()

    fetch(spawn(forget))
    fetch(spawn(checkpoint))
    checkpoint()


def test_a_thread_that_forgets_to_leave_leaves_nothing_to_the_next() -> None:
    def forget() -> None:
        CancelScope(deadline=0).__enter__()

    for _ in range(3):
        in_thread(forget)
        in_thread(checkpoint)


@pytest.mark.parametrize("wrong", ["soon", [], object()])
def test_a_deadline_is_a_number(wrong: object) -> None:
    with pytest.raises(TypeError, match="deadline"):
        CancelScope(deadline=wrong)  # type: ignore[arg-type]
    scope = CancelScope()
    with pytest.raises(TypeError, match="deadline"):
        scope.deadline = wrong  # type: ignore[assignment]
    with pytest.raises(ValueError, match="NaN"):
        scope.deadline = float("nan")
    with pytest.raises(AttributeError):
        del scope.deadline


def test_arguments_are_by_keyword() -> None:
    with pytest.raises(TypeError):
        CancelScope(5)  # type: ignore[misc]
    with pytest.raises(TypeError):
        CancelScope(timeout=5)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        CancelScope().shield = True  # type: ignore[misc]


# --- life -----------------------------------------------------------------------------


@pytest.fixture
def collected() -> Iterator[None]:
    gc.collect()
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
def test_scopes_and_their_reasons_die() -> None:
    class Reason:
        pass

    reason = Reason()
    alive = weakref.ref(reason)
    with CancelScope() as outer:
        with CancelScope() as inner:
            inner.cancel(reason)
            inner.cancel("again")
    reason.scope = inner  # type: ignore[attr-defined]
    del outer, inner, reason
    gc.collect()
    assert alive() is None


def test_ten_thousand_scopes_inside_one_another() -> None:
    scopes = [CancelScope() for _ in range(10_000)]
    for scope in scopes:
        scope.__enter__()
    scopes[0].cancel()
    with pytest.raises(Cancelled):
        checkpoint()
    for scope in reversed(scopes):
        scope.__exit__(None, None, None)
    del scopes[:-1]
    del scope
    scopes.clear()


@pytest.mark.skipif(UNDER_ASAN, reason="forks with threads")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_scope_it_was_born_in() -> None:
    pid = 0
    with CancelScope() as scope:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                scope.__exit__(None, None, None)
                with CancelScope() as fresh:
                    fresh.cancel()
                    checkpoint()
                status = 0 if fresh.cancelled_caught else 2
            finally:
                os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_task_cannot_leave_the_scope_that_it_was_born_into() -> None:
    """As when it finishes a generator in which a group was opened."""
    leave: list[Callable[..., object]] = []

    class Group(taskrt.TaskGroup):
        def __enter__(self) -> Self:
            group = super().__enter__()
            leave.append(self._scope.__exit__)
            return group

    def leave_it() -> None:
        with pytest.raises(RuntimeError, match="by the task that has entered it"):
            leave[0](None, None, None)

    with contextlib.suppress(RuntimeError), Group() as group:
        fetch(group.spawn(leave_it))
    checkpoint()


@pytest.mark.parametrize("reason", [(1, 2), Cancelled("mine"), ValueError("v"), "x"])
def test_a_reason_arrives_as_it_was_given(reason: object) -> None:
    with CancelScope() as scope:
        scope.cancel(reason)
        for _ in range(3):
            with pytest.raises(Cancelled) as caught:
                checkpoint()
            assert caught.value is not reason
            assert caught.value.args == (reason,)


@pytest.mark.parametrize("halves", [None, ("x", "y"), ("x", 42), (None,)])
def test_a_group_that_splits_wrongly_is_an_error(halves: object) -> None:
    class Odd(BaseExceptionGroup[BaseException]):
        def split(self, condition: object) -> Any:
            return halves

    with pytest.raises(TypeError, match=r"Odd.split\(\) must return two groups"):
        with CancelScope() as scope:
            scope.cancel()
            raise Odd("odd", [Cancelled()])


# --- circles of waits -----------------------------------------------------------------


def test_a_wait_that_was_cancelled_closes_no_circle() -> None:
    """The one that was cancelled has not woken up, but it waits for nobody any more."""
    tasks: list[taskrt.Task[object]] = []
    ready = Event()

    def first() -> object:
        ready.wait()
        with CancelScope() as scope:
            scopes.append(scope)
            fetch(tasks[1])
        return "first"

    def second() -> object:
        until(lambda: tasks and tasks[0].state == "suspended" and scopes)
        scopes[0].cancel()
        return fetch(tasks[0])

    scopes: list[CancelScope] = []
    tasks.append(pinned(first))
    tasks.append(pinned(second))
    ready.set()
    assert fetch(tasks[1]) == "first"
