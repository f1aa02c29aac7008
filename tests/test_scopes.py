"""CancelScope: what it tells to end, and which scope takes Cancelled."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest
from support.child import UNDER_ASAN
from support.gates import Gate, join, pinned, until, until_suspended
from support.native import pair

import taskrt
import taskrt.native
from taskrt import (
    Cancelled,
    CancelledError,
    CancelScope,
    cancel_requested,
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


def in_task(fn: Callable[[], object]) -> None:
    fetch(spawn(fn))


def here(fn: Callable[[], object]) -> None:
    fn()


def in_thread(fn: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            fn()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    join(thread)
    if errors:
        raise errors[0]


@pytest.fixture(params=[here, in_task, in_thread])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], object]], None]:
    """Run something on main, in a task, on a plain thread."""
    where: Callable[[Callable[[], object]], None] = request.param
    return where


Run = Callable[[Callable[[], object]], None]


# --- cancelling -----------------------------------------------------------------------


def test_a_scope_that_nobody_cancels_changes_nothing(run: Run) -> None:
    def body() -> None:
        with CancelScope() as scope:
            checkpoint()
            assert not cancel_requested()
        assert not scope.cancel_called
        assert not scope.cancelled_caught
        assert scope.deadline is None
        assert scope.shield is False

    run(body)


def test_a_cancelled_block_ends_at_its_next_checkpoint(run: Run) -> None:
    def body() -> None:
        trail = []
        with CancelScope() as scope:
            scope.cancel()
            assert scope.cancel_called
            assert cancel_requested()
            trail.append("goes on until it looks")
            checkpoint()
            trail.append("not reached")
        assert trail == ["goes on until it looks"]
        assert scope.cancelled_caught
        checkpoint()

    run(body)


def test_a_block_that_never_looks_is_not_ended(run: Run) -> None:
    def body() -> None:
        with CancelScope() as scope:
            scope.cancel()
        assert scope.cancel_called
        assert not scope.cancelled_caught

    run(body)


def test_cancelled_before_it_is_entered() -> None:
    scope = CancelScope()
    scope.cancel()
    with scope:
        checkpoint()
        pytest.fail("not reached")
    assert scope.cancelled_caught


def test_each_later_checkpoint_raises_again(run: Run) -> None:
    def body() -> None:
        with CancelScope() as scope:
            scope.cancel()
            for _ in range(3):
                with pytest.raises(Cancelled):
                    checkpoint()
                with pytest.raises(Cancelled):
                    sleep(NEVER)
                with pytest.raises(Cancelled):
                    taskrt.yield_now()
                with pytest.raises(Cancelled):
                    fetch(spawn(int))
        assert not scope.cancelled_caught

    run(body)


def test_a_wait_in_the_scope_ends(run: Run) -> None:
    def body() -> None:
        with CancelScope() as scope:
            canceller = threading.Timer(SOON, scope.cancel)
            canceller.start()
            Event().wait()
            pytest.fail("not reached")
        assert scope.cancelled_caught
        canceller.join()

    run(body)


def test_what_is_waited_for_goes_on() -> None:
    with Gate("value") as gate:
        entered = []

        def body() -> object:
            with CancelScope() as scope:
                entered.append(scope)
                fetch(gate.task)
            assert scope.cancelled_caught
            return "body went on"

        task = spawn(body)
        until_suspended(task)
        entered[0].cancel()
        assert fetch(task) == "body went on"
        assert gate.task.running()
        gate.open()
        assert fetch(gate.task) == "value"


def test_the_first_reason_is_the_argument_of_cancelled() -> None:
    with CancelScope() as scope:
        scope.cancel("first")
        scope.cancel("second")
        with pytest.raises(Cancelled, match="first") as caught:
            checkpoint()
        assert caught.value.args == ("first",)
    with CancelScope() as scope:
        scope.cancel(reason={"a": "dict"})
        with pytest.raises(Cancelled) as caught:
            checkpoint()
        assert caught.value.args == ({"a": "dict"},)
    with CancelScope() as scope:
        scope.cancel()
        scope.cancel("too late")
        with pytest.raises(Cancelled) as caught:
            checkpoint()
        assert caught.value.args == ()


# --- nesting --------------------------------------------------------------------------


def test_the_inner_one_alone_is_ended(run: Run) -> None:
    def body() -> None:
        trail = []
        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                checkpoint()
            trail.append("between")
            checkpoint()
            trail.append("outer ends")
        assert trail == ["between", "outer ends"]
        assert inner.cancelled_caught
        assert not outer.cancel_called
        assert not outer.cancelled_caught

    run(body)


def test_the_outer_one_ends_both(run: Run) -> None:
    def body() -> None:
        with CancelScope() as outer:
            with CancelScope() as inner:
                outer.cancel()
                assert not inner.cancel_called
                checkpoint()
            pytest.fail("not reached")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught

    run(body)


def test_of_two_that_are_cancelled_the_outer_one_takes_it(run: Run) -> None:
    def body() -> None:
        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                outer.cancel()
                checkpoint()
            pytest.fail("not reached")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught

    run(body)


def test_a_wait_deep_inside_is_found() -> None:
    entered = []

    def body() -> str:
        with CancelScope() as outer:
            with CancelScope(), CancelScope(), CancelScope():
                entered.append(outer)
                Event().wait()
        assert outer.cancelled_caught
        return "ended"

    tasks = [spawn(body) for _ in range(5)]
    until_suspended(*tasks)
    for scope in entered:
        scope.cancel()
    assert [fetch(task) for task in tasks] == ["ended"] * 5


def test_a_sibling_scope_is_left_alone() -> None:
    def body(event: Event) -> str:
        with CancelScope() as scope:
            scopes.append(scope)
            event.wait()
        return "cancelled" if scope.cancelled_caught else "waited"

    scopes: list[CancelScope] = []
    events = [Event() for _ in range(3)]
    tasks = [spawn(body, event) for event in events]
    until_suspended(*tasks)
    scopes[1].cancel()
    until(lambda: sum(task.done() for task in tasks) == 1)
    for event in events:
        event.set()
    assert sorted(map(fetch, tasks)) == ["cancelled", "waited", "waited"]


def test_a_cancelled_task_passes_through_its_scopes() -> None:
    def body() -> None:
        with CancelScope() as scope:
            scopes.append(scope)
            Event().wait()

    scopes: list[CancelScope] = []
    task = spawn(body)
    until_suspended(task)
    task.cancel("the task")
    with pytest.raises(CancelledError, match="the task"):
        fetch(task)
    assert not scopes[0].cancelled_caught


def test_scope_and_task_cancelled_both_the_task_takes_it() -> None:
    def body() -> None:
        with CancelScope() as scope:
            scopes.append(scope)
            scope.cancel()
            me = taskrt.current_task()
            assert me is not None
            me.cancel()
            checkpoint()

    scopes: list[CancelScope] = []
    task = spawn(body)
    wait(task)
    assert task.cancelled()
    assert not scopes[0].cancelled_caught


# --- shields --------------------------------------------------------------------------


def test_a_shield_hides_the_scope_around(run: Run) -> None:
    def body() -> None:
        trail = []
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True) as inner:
                assert not cancel_requested()
                sleep(SOON)
                trail.append("slept")
            assert not inner.cancelled_caught
            checkpoint()
        assert trail == ["slept"]
        assert outer.cancelled_caught

    run(body)


def test_a_shield_hides_a_request_to_its_task() -> None:
    event = Event()

    def body() -> None:
        with CancelScope(shield=True):
            event.wait()
        trail.append("waited")
        checkpoint()
        trail.append("not reached")

    trail: list[str] = []
    task = spawn(body)
    until_suspended(task)
    task.cancel()
    taskrt.yield_now()
    assert not task.done()
    event.set()
    wait(task)
    assert task.cancelled()
    assert trail == ["waited"]


def test_a_shielded_wait_is_not_found_from_outside() -> None:
    event = Event()

    def body() -> str:
        with CancelScope() as outer:
            outers.append(outer)
            with CancelScope(shield=True):
                event.wait()
            trail.append("shielded part ended")
            checkpoint()
        return "cancelled" if outer.cancelled_caught else "not"

    outers: list[CancelScope] = []
    trail: list[str] = []
    task = spawn(body)
    until_suspended(task)
    outers[0].cancel()
    taskrt.yield_now()
    assert task.state == "suspended"
    event.set()
    assert fetch(task) == "cancelled"
    assert trail == ["shielded part ended"]


def test_a_shield_can_be_cancelled_itself(run: Run) -> None:
    def body() -> None:
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True) as inner:
                inner.cancel()
                checkpoint()
            assert inner.cancelled_caught
            assert not outer.cancelled_caught

    run(body)


def test_a_shield_in_finally_lets_cleanup_wait() -> None:
    def body() -> None:
        try:
            Event().wait()
        finally:
            with CancelScope(shield=True):
                sleep(SOON)
                trail.append(fetch(spawn(lambda: "cleaned")))

    trail: list[str] = []
    task = spawn(body)
    until_suspended(task)
    task.cancel()
    wait(task)
    assert task.cancelled()
    assert trail == ["cleaned"]


# --- deadlines ------------------------------------------------------------------------


def test_a_deadline_ends_a_wait(run: Run) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + SOON) as scope:
            Event().wait()
            pytest.fail("not reached")
        assert scope.cancel_called
        assert scope.cancelled_caught

    run(body)


def test_a_deadline_in_the_past_is_met_at_once(run: Run) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() - 1) as scope:
            assert scope.cancel_called
            checkpoint()
            pytest.fail("not reached")
        assert scope.cancelled_caught

    run(body)


@pytest.mark.parametrize(
    "block",
    [
        lambda gate: fetch(gate.task),
        lambda gate: fetch(gate.task, timeout=NEVER),
        lambda gate: wait(gate.task),
        lambda gate: gate.task.exception(),
        lambda gate: sleep(NEVER),
        lambda gate: Event().wait(),
        lambda gate: Event().wait(NEVER),
        lambda gate: taskrt._core.Semaphore(0).acquire(),
    ],
    ids=["fetch", "timed", "wait", "exception", "sleep", "event", "event timed", "sem"],
)
def test_every_wait_ends_at_the_deadline(block: Callable[[Gate], object]) -> None:
    with Gate() as gate:
        for run in (here, in_task):

            def body() -> None:
                with CancelScope(deadline=time.monotonic() + SOON) as scope:
                    block(gate)
                    pytest.fail("not reached")
                assert scope.cancelled_caught

            run(body)


def test_the_earlier_of_two_deadlines_ends_its_own_block(run: Run) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + NEVER) as outer:
            with CancelScope(deadline=time.monotonic() + SOON) as inner:
                sleep(NEVER)
            assert inner.cancelled_caught
        assert not outer.cancel_called
        with CancelScope(deadline=time.monotonic() + SOON) as outer:
            with CancelScope(deadline=time.monotonic() + NEVER) as inner:
                sleep(NEVER)
            pytest.fail("not reached")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught

    run(body)


def test_a_callers_own_timeout_is_not_a_deadline(run: Run) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + NEVER) as scope:
            assert Event().wait(SOON) is False
        assert not scope.cancel_called

    run(body)


def test_a_deadline_may_be_put_off_while_somebody_waits() -> None:
    """The wait that was to end by the old one goes on, and tells nobody of a timeout."""
    event = Event()

    def body(scope: CancelScope) -> object:
        with scope:
            return event.wait()

    for new in (None, time.monotonic() + NEVER):
        deadline = time.monotonic() + 0.05
        scope = CancelScope(deadline=deadline)
        task = spawn(body, scope)
        until(lambda task=task: task.state == "suspended" or task.done())
        scope.deadline = new
        in_time = time.monotonic() < deadline
        while time.monotonic() < deadline + 0.02:
            sleep(SOON)
        event.set()
        assert fetch(task) is True or not in_time
        event.clear()


def test_a_deadline_may_be_brought_forward_while_somebody_waits(run: Run) -> None:
    def body() -> None:
        with CancelScope(deadline=time.monotonic() + NEVER) as scope:

            def hurry() -> None:
                scope.deadline = time.monotonic() + SOON

            thread = threading.Timer(SOON, hurry)
            thread.start()
            sleep(NEVER)
            pytest.fail("not reached")
        assert scope.cancelled_caught
        thread.join()

    run(body)


def test_a_deadline_set_as_a_wait_begins_is_seen() -> None:
    """Either the wait takes it along, or whoever sets it finds the wait."""
    for _ in range(300):
        with CancelScope() as scope:

            def hurry(scope: CancelScope = scope) -> None:
                scope.deadline = 0

            thread = threading.Thread(target=hurry)
            thread.start()
            Event().wait()
        assert scope.cancelled_caught
        thread.join()


def test_deadline_reads_as_it_was_set() -> None:
    scope = CancelScope(deadline=1234.5)
    assert scope.deadline == pytest.approx(1234.5)
    scope.deadline = None
    assert scope.deadline is None
    scope.deadline = float("inf")
    assert scope.deadline is None
    scope.deadline = -5
    assert scope.deadline == 0


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
    inner.__exit__(None, None, None)
    outer.__exit__(None, None, None)


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


# --- tasks that are born into a scope, and native work --------------------------------


def test_tasks_of_a_scope_end_with_it() -> None:
    with CancelScope() as scope:
        waiting = [taskrt._core._spawn_in(scope, Event().wait) for _ in range(5)]
        until_suspended(*waiting)
        pending = [
            taskrt._core._spawn_in(scope, pytest.fail, "not run") for _ in range(5)
        ]
        scope.cancel("reason")
        with CancelScope(shield=True):
            wait(*waiting, *pending)
    assert all(task.cancelled() for task in waiting)
    assert all(task.cancelled() or task.state == "failed" for task in pending)
    for task in pending:
        task.defuse()


def test_native_work_under_a_scope_is_cancelled(lib: ctypes.CDLL) -> None:
    with CancelScope() as scope:
        thread = threading.Timer(0.01, scope.cancel)
        thread.start()
        taskrt.native.run(lib.until_cancelled, pair(0))
    thread.join()
    assert scope.cancelled_caught


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
