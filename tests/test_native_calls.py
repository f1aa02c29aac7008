"""Native tasks that are cancelled, and those that call Python."""

from __future__ import annotations

import contextvars
import ctypes
import threading
import time
from collections.abc import Callable

import pytest
from support.gates import Gate, here
from support.native import caller, pair

import taskrt
from taskrt import DeadlockError, Task, fetch, native, spawn, wait

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
        fetch(spawn(wait_for_the_work))

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
