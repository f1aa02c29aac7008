"""Native tasks that are cancelled, and those that call Python."""

from __future__ import annotations

import array
import contextlib
import contextvars
import ctypes
import functools
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from support.gates import Gate, end_of, here, until, until_suspended
from support.native import caller, pair

import taskrt
from taskrt import CancelledError, DeadlockError, Task, fetch, native, spawn, wait

Resize = Callable[[int], object]


# --- cancellation ---------------------------------------------------------------------


def test_running_work_is_asked_to_end(lib: ctypes.CDLL) -> None:
    data = pair(0)

    def cancel() -> None:
        while data[0] == 0:
            time.sleep(0.0002)
        assert task.cancel()

    task = native.spawn(lib.until_cancelled, data)
    thread = threading.Thread(target=cancel)
    thread.start()
    wait(task)
    thread.join()
    assert task.cancelled()


def test_task_that_was_asked_before_it_ran_does_not_begin(lib: ctypes.CDLL) -> None:
    def run() -> None:
        here().cancel()
        native.run(lib.fib, data)

    data = pair(5)
    task = spawn(run)
    wait(task)
    assert task.cancelled()
    assert data[1] == -1


@contextlib.contextmanager
def task_on_top(
    lib: ctypes.CDLL, *, inline: bool = True
) -> Iterator[tuple[Gate, array.array[int], Task[None], Task[object]]]:
    """Give native work that calls Python for a task, which waits for the gate there.

    Also its argument, which tells whether it was asked to end meanwhile: 2, or else 1.
    """
    with Gate() as gate:
        waits = threading.Event()
        inner: list[Task[object]] = []

        def wait_there() -> None:
            inner.append(here())
            waits.set()
            fetch(gate.task)

        def call() -> None:
            task = spawn(wait_there)
            if not inline:
                until_suspended(task)
            with contextlib.suppress(CancelledError):
                fetch(task)

        argument = caller(0, call)
        task = native.spawn(lib.until_cancelled_in_a_call, argument)
        waits.wait()
        yield gate, argument, task, inner[0]


@pytest.mark.parametrize("inline", [True, False])
def test_request_reaches_the_work_below_a_task_that_runs_on_top_of_it(
    lib: ctypes.CDLL, set_num_threads: Resize, inline: bool
) -> None:
    """A call fetches a task, which runs on its stack; who called is asked to end."""
    set_num_threads(4)
    with task_on_top(lib, inline=inline) as (gate, argument, task, inner):
        assert task.cancel()
        gate.open()
        wait(task)
        assert argument[0] == 2
        assert inner.exception() is None


def test_request_to_a_task_on_top_is_none_to_the_work_below(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    set_num_threads(4)
    with task_on_top(lib) as (_gate, argument, task, inner):
        assert inner.cancel()
        fetch(task)
        assert argument[0] == 1
        assert inner.cancelled()


def test_stolen_child_sees_the_request_by_either_header(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    set_num_threads(4)
    assert ctypes.PyDLL(lib._name).prepare() == 0
    data = pair(0)
    task = native.spawn(lib.looks_in_stolen_child, data)
    while data[1] != 1:
        time.sleep(0.0002)
    task.cancel()
    wait(task)
    assert data[0] == 1


def test_main_sleeps_beside_native_work_that_is_not_its_own(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    """It may not take children of what it waits for with a deadline."""
    set_num_threads(2)
    data = pair(0)
    task = native.spawn(lib.offers_until_told, data)
    while data[1] != 1:
        time.sleep(0.0002)  # main, if it waited for the task, might run it
    before = taskrt.stats()["workers"][0]["spurious_wakes"]
    for _ in range(5):
        assert not wait(task, timeout=0.02)
    woken = taskrt.stats()["workers"][0]["spurious_wakes"] - before
    data[0] = 1
    fetch(task)
    assert woken <= 10


def test_main_that_sleeps_so_is_woken_for_a_task(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    set_num_threads(2)
    begun = threading.Event()

    def sleeps_of_main() -> int:
        return taskrt.stats()["workers"][0]["sleeps"]

    def call() -> None:
        before = sleeps_of_main()
        begun.set()
        while sleeps_of_main() == before:
            time.sleep(0.0002)
        ran_on.append(spawn(taskrt.thread_id))
        end_of(ran_on[0])  # keeps the other thread

    ran_on: list[Task[int]] = []
    task = native.spawn(lib.calls_beside_an_offered_child, caller(0, call))
    begun.wait()
    assert wait(task, timeout=100)
    assert fetch(ran_on[0]) == 0


# --- calls into Python ----------------------------------------------------------------


@pytest.mark.usefixtures("threads")
class TestCallsAtEverySize:
    def test_every_call_is_made_and_may_use_tasks(self, lib: ctypes.CDLL) -> None:
        made: list[object] = []

        def call() -> None:
            made.append(fetch(spawn(len, "abc")))

        for _ in range(20):
            native.run(lib.calls, caller(6, call))
        assert made == [3] * 20 * 64

    def test_call_may_run_native_work(self, lib: ctypes.CDLL) -> None:
        results: list[int] = []

        def call() -> None:
            data = pair(12)
            native.run(lib.fib, data)
            results.append(data[1])

        fetch(native.spawn(lib.calls, caller(5, call)))
        assert results == [144] * 32

    def test_exception_of_a_call_is_raised_by_the_fetch(self, lib: ctypes.CDLL) -> None:
        error = KeyError("from below")

        def call() -> None:
            raise error

        task = native.spawn(lib.calls, caller(4, call))
        with pytest.raises(KeyError) as caught:
            fetch(task)
        assert caught.value is error

    def test_call_sees_the_context_of_the_work(self, lib: ctypes.CDLL) -> None:
        var = contextvars.ContextVar("var", default="outside")
        seen: list[str] = []

        def call() -> None:
            seen.append(var.get())
            assert taskrt.current_task() is not None

        def work() -> None:
            var.set("inside")
            native.run(lib.calls, caller(5, call))

        fetch(spawn(work))
        assert seen == ["inside"] * 32
        assert var.get() == "outside"

    def test_tasks_native_tasks_and_calls_mixed(self, lib: ctypes.CDLL) -> None:
        assert mixed(lib, 200) == 200 * 8 * 21


def mixed(lib: ctypes.CDLL, count: int) -> int:
    """Count what `count` tasks add up to, whose native tasks call Python for tasks."""
    total: list[int] = []

    def fib(n: int) -> int:
        return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)

    def call() -> None:
        total.append(fetch(spawn(fib, 8)))

    def parent() -> None:
        fetch(native.spawn(lib.calls, caller(3, call)))

    wait(*[spawn(parent) for _ in range(count)])
    return sum(total)


def test_call_changes_no_variables_of_the_caller(lib: ctypes.CDLL) -> None:
    var = contextvars.ContextVar("var", default=0)

    def call() -> None:
        var.set(var.get() + 1)
        seen.append(var.get())

    seen: list[int] = []
    native.run(lib.calls, caller(3, call))
    assert seen == [1] * 8
    assert var.get() == 0


def test_minus_one_without_an_exception(lib: ctypes.CDLL) -> None:
    with pytest.raises(SystemError, match="without an exception set"):
        native.run(lib.calls_what_raises_nothing, None)


def test_shutdown_is_refused_in_a_call(lib: ctypes.CDLL) -> None:
    def call() -> None:
        taskrt.shutdown()

    fetch(spawn(int))
    with pytest.raises(RuntimeError, match="what native tasks call"):
        native.run(lib.calls, caller(0, call))


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def shut_down(_context: int, _data: int) -> int:
    with pytest.raises(RuntimeError, match="what native tasks call"):
        taskrt.shutdown()
    return 17


def test_shutdown_is_refused_in_a_callback() -> None:
    fetch(spawn(int))  # so that main has a hub
    with pytest.raises(native.NativeError, match="status 17"):
        native.run(shut_down)


def test_thread_that_sleeps_in_a_callback_goes_on_with_what_stopped_there(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    """Otherwise what the callback waits for could never end."""
    set_num_threads(4)
    works: list[Task[None]] = []
    begun: list[int] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def wait_for_it(_context: int, _data: int) -> int:
        begun.append(taskrt.thread_id())
        with contextlib.suppress(DeadlockError):  # on the thread where it began
            fetch(works[-1])
        return 0

    for _ in range(50):
        begun.clear()
        state = pair(0)
        state[1] = 0
        works.append(native.spawn(lib.stolen_twice, state))
        while state[1] < 3:
            time.sleep(0.0002)
        waiters = [native.spawn(wait_for_it) for _ in range(2)]
        while len(begun) < 2:
            time.sleep(0.0002)
        state[0] = 1
        assert wait(*waiters, works[-1], timeout=100)
        assert works[-1].exception() is None


def test_search_for_circles_looks_at_each_stack_once(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    """Level upon level of calls that all wait for the same: as many ways as atoms."""
    set_num_threads(4)
    with Gate() as gate:
        tasks: list[Task[None]] = [gate.task]
        entered: list[int] = []

        def fetch_number(n: int) -> None:
            entered.append(n)
            fetch(tasks[n])

        calls = [functools.partial(fetch_number, n) for n in range(12)]
        for n, call in enumerate(calls, 1):
            work = native.spawn(lib.calls_in_stolen_children, caller(0, call))
            tasks.append(work)
            until(lambda n=n: len(entered) == 16 * n)
        gate.open()
        fetch(tasks[-1])


def test_exception_is_raised_though_the_native_task_ignores_it(
    lib: ctypes.CDLL,
) -> None:
    def call() -> None:
        raise ValueError("heard")

    with pytest.raises(ValueError, match="heard"):
        native.run(lib.calls_and_ignores, caller(0, call))


@pytest.mark.parametrize("name", ["calls", "calls_in_stolen_child"])
def test_call_that_waits_for_its_own_work_is_refused(
    lib: ctypes.CDLL, set_num_threads: Resize, name: str
) -> None:
    set_num_threads(3)
    started = threading.Event()
    tasks: list[Task[None]] = []

    def call() -> None:
        started.wait()
        fetch(tasks[0])

    tasks.append(native.spawn(getattr(lib, name), caller(0, call)))
    started.set()
    with pytest.raises(DeadlockError, match="would never end"):
        fetch(tasks[0])


def test_circle_through_a_task_of_the_call_is_refused(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    set_num_threads(3)
    started = threading.Event()
    tasks: list[Task[None]] = []

    def wait_for_the_work() -> None:
        fetch(tasks[0])

    def call() -> None:
        started.wait()
        inner = spawn(wait_for_the_work)
        inner.defuse()  # if this fetch closes the circle, nobody learns how that ends
        fetch(inner)

    tasks.append(native.spawn(lib.calls_in_stolen_child, caller(0, call)))
    started.set()
    with pytest.raises(DeadlockError, match="would never end"):
        fetch(tasks[0])


def test_cancellation_reaches_a_call_of_a_stolen_child(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    set_num_threads(4)
    waiting = threading.Event()
    with Gate() as gate:

        def call() -> None:
            waiting.set()
            fetch(gate.task)

        task = native.spawn(lib.calls_in_stolen_child, caller(0, call))
        waiting.wait()
        assert task.cancel()
        wait(task)
        assert task.cancelled()


def test_callback_that_attaches_by_itself_may_wait(lib: ctypes.CDLL) -> None:
    """Its thread waits with it."""
    results: list[int] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def callback(_context: int, _data: int) -> int:
        data = pair(10)
        fetch(native.spawn(lib.fib, data))
        results.append(data[1] + fetch(spawn(int, "1")))
        return 0

    for _ in range(20):
        fetch(native.spawn(callback))
    native.run(callback)
    assert results == [56] * 21


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_a_million_tasks_native_tasks_and_calls_mixed(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    """A million at each size, and no more threads than that."""
    for n in (1, 2, 8):
        set_num_threads(n)
        before = threading.active_count()
        for _ in range(20):
            assert mixed(lib, 100) == 100 * 8 * 21
        assert threading.active_count() <= before + n
