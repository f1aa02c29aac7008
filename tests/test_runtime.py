"""Sizes, information, counters, and stopping and starting again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.child import run_script
from support.gates import Gate, pinned, until, until_suspended
from support.growth import blocks_left_by

import taskrt
from taskrt import fetch, num_threads, spawn, stats, thread_id, wait

TESTS = Path(__file__).parent


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


# --- sizes ----------------------------------------------------------------------------


def test_number_of_threads_is_what_the_environment_says() -> None:
    asked = os.environ.get("TASKRT_NUM_THREADS", "auto")
    expected = taskrt.available_cpus() if asked in ("", "auto") else int(asked)
    assert num_threads() == expected


def test_available_cpus_is_at_least_one_and_at_most_what_we_may_run_on() -> None:
    assert 1 <= taskrt.available_cpus() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("n", [0, -1, 1025, 10**30, -(10**30)])
def test_impossible_number_of_threads_is_a_value_error(n: int) -> None:
    before = num_threads()
    with pytest.raises(ValueError, match=rf"1 to 1024.*{n}"):
        taskrt.set_num_threads(n)
    assert num_threads() == before


@pytest.mark.parametrize("n", ["2", 2.0, None])
def test_number_of_threads_must_be_an_integer(n: object) -> None:
    with pytest.raises(TypeError):
        taskrt.set_num_threads(n)  # type: ignore[arg-type]


Resize = Callable[[int], object]


def test_new_size_holds_at_once(set_num_threads: Resize) -> None:
    for n in (3, 1, 5, 2, 5, 1, 64, 1):
        set_num_threads(n)
        assert num_threads() == n
        assert fib(8) == 21


def meet(meeting: threading.Barrier) -> int:
    meeting.wait()
    return thread_id()


def test_added_threads_run_tasks(set_num_threads: Resize) -> None:
    """All of them at once: each task waits for all the others."""
    for n in (2, 5, 8):
        set_num_threads(n)
        meeting = threading.Barrier(n)
        tasks = [spawn(meet, meeting) for _ in range(n)]
        assert {fetch(task) for task in tasks} == set(range(n))


def test_suspended_tasks_of_a_thread_that_must_go_end_well(
    set_num_threads: Resize,
) -> None:
    def hold(task: taskrt.Task[object]) -> bool:
        before = threading.get_ident()
        fetch(task)
        return before == threading.get_ident()

    set_num_threads(6)
    with Gate() as gate:
        tasks = [spawn(hold, gate.task) for _ in range(100)]
        until_suspended(*tasks)
        set_num_threads(1)
        assert fib(8) == 21
        gate.open()
        assert all(map(fetch, tasks))
    assert fib(8) == 21


def test_pending_tasks_of_a_thread_that_must_go_still_run(
    set_num_threads: Resize,
) -> None:
    def parent() -> list[taskrt.Task[int]]:
        return [spawn(fib, 3) for _ in range(20)]

    for _ in range(10):
        set_num_threads(4)
        parents = [spawn(parent) for _ in range(10)]
        until(lambda: any(task.done() for task in parents))
        set_num_threads(1)
        for task in parents:
            assert [fetch(child) for child in fetch(task)] == [2] * 20


def test_size_may_change_while_everything_runs(set_num_threads: Resize) -> None:
    sizes = [1, 4, 2, 8, 1, 3, 16, 1]

    def resize() -> None:
        for _ in range(5):
            for n in sizes:
                set_num_threads(n)
                resized.append(n)

    resized: list[int] = []
    thread = threading.Thread(target=resize)
    thread.start()
    while thread.is_alive():
        assert fib(10) == 55
    thread.join()
    assert fib(10) == 55
    assert resized == sizes * 5


def test_size_may_change_inside_a_task(set_num_threads: Resize) -> None:
    def resizes() -> int:
        for n in (4, 1, 3, 1):
            set_num_threads(n)
            assert fib(6) == 8
        return num_threads()

    assert fetch(spawn(resizes)) == 1


def test_many_more_threads_than_processors(set_num_threads: Resize) -> None:
    set_num_threads(64)
    for _ in range(5):
        tasks = [spawn(fib, 8) for _ in range(64)]
        assert [fetch(task) for task in tasks] == [21] * 64


@pytest.mark.isolated
@pytest.mark.parametrize("threads", [1, 2, 4, 64])
def test_threads_never_exceed_the_pool_and_the_programs_own(threads: int) -> None:
    result = run_script(
        TESTS / "isolated" / "thread_count.py",
        env={"TASKRT_NUM_THREADS": str(threads), "PYTHONPATH": str(TESTS)},
    )
    most, _, size = result.stdout.split()
    assert int(size) == threads
    # Main is one of the pool. With a pool of one, while main itself sleeps in something
    # that is not ours, a spare thread keeps the tasks of others going.
    assert int(most) <= max(threads - 1, 1)


# --- threads --------------------------------------------------------------------------


def test_thread_id_tells_main_workers_and_others_apart() -> None:
    assert thread_id() == 0
    assert fetch(pinned(thread_id)) == 0
    seen = {fetch(t) for t in [spawn(thread_id) for _ in range(100)]}
    assert seen <= set(range(num_threads()))
    foreign: list[int] = []
    thread = threading.Thread(target=lambda: foreign.append(thread_id()))
    thread.start()
    thread.join()
    assert foreign == [-1]


def test_yield_is_false_when_there_is_nothing_else() -> None:
    until(lambda: not taskrt.yield_now())
    assert taskrt.yield_now() is False


def test_yield_runs_what_is_pending() -> None:
    task = pinned(int)
    assert taskrt.yield_now() is True
    assert task.done()


def test_yield_goes_to_the_back_of_the_queue() -> None:
    steps: list[tuple[str, int]] = []

    def walk(task: taskrt.Task[object], name: str) -> None:
        fetch(task)
        for i in range(5):
            steps.append((name, i))
            taskrt.yield_now()

    with Gate() as gate:
        tasks = [pinned(walk, gate.task, name) for name in "ab"]
        until_suspended(*tasks)
        gate.close()
        wait(*tasks)
    names = [name for name, _ in steps]
    assert names in (list("ab" * 5), list("ba" * 5))


def test_yield_on_a_foreign_thread_is_false() -> None:
    got: list[bool] = []
    task = pinned(int)
    thread = threading.Thread(target=lambda: got.append(taskrt.yield_now()))
    thread.start()
    thread.join()
    assert got == [False]
    assert fetch(task) == 0


def test_a_task_that_only_yields_starves_nobody() -> None:
    stop: list[bool] = []

    def spins() -> int:
        turns = 0
        while not stop:
            taskrt.yield_now()
            turns += 1
        return turns

    spinners = [pinned(spins) for _ in range(3)]
    with Gate() as gate:
        suspended = pinned(fetch, gate.task)
        until_suspended(suspended)
        gate.open()
        assert fetch(suspended) is None
    assert fetch(spawn(fib, 5)) == 5
    assert wait(pinned(int), timeout=60)
    stop.append(True)
    assert all(fetch(spinner) > 0 for spinner in spinners)


def test_a_task_that_only_yields_holds_up_no_timeout() -> None:
    stop: list[bool] = []

    def spins() -> None:
        while not stop:
            taskrt.yield_now()

    def patient(task: taskrt.Task[object]) -> str:
        with pytest.raises(TimeoutError):
            fetch(task, timeout=0.001)
        return "gave up"

    spinner = pinned(spins)
    with Gate() as gate:
        with pytest.raises(TimeoutError):
            fetch(gate.task, timeout=0.001)
        assert fetch(pinned(patient, gate.task)) == "gave up"
    stop.append(True)
    fetch(spinner)


# --- information ----------------------------------------------------------------------

COUNTS = {
    "spawned", "inlined", "stolen", "ran",
    "parked", "wakes", "spurious_wakes", "sleeps",
}  # fmt: skip


def test_stats_have_every_count_for_every_worker() -> None:
    fib(5)
    found = stats()
    assert set(found["total"]) >= COUNTS
    assert set(found["workers"]) >= {0}
    for counts in [found["total"], *found["workers"].values()]:
        assert set(counts) >= COUNTS
        assert all(type(n) is int and n >= 0 for n in counts.values())


def test_counts_add_up() -> None:
    wait(*[spawn(int) for _ in range(100)])
    before = stats()["total"]
    tasks = [spawn(fib, 5) for _ in range(10)]
    wait(*tasks)
    after = stats()["total"]
    spawned = after["spawned"] - before["spawned"]
    assert spawned == 10 * (1 + 7)
    until(lambda: stats()["total"]["ran"] - before["ran"] >= spawned)
    assert after["inlined"] - before["inlined"] <= spawned


def test_inline_runs_and_suspensions_are_counted() -> None:
    before = stats()["workers"][0]
    for _ in range(10):
        fetch(pinned(int))
    with Gate() as gate:
        tasks = [pinned(fetch, gate.task) for _ in range(7)]
        until_suspended(*tasks)
        gate.open()
        wait(*tasks)
    after = stats()["workers"][0]
    assert after["inlined"] - before["inlined"] >= 10
    assert after["parked"] - before["parked"] >= 7


def test_info_describes_the_runtime() -> None:
    found = str(taskrt.info())
    assert str(num_threads()) in found
    assert "gil" in found.lower()


# --- shutdown -------------------------------------------------------------------------


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Come back with the number of threads that the rest of the suite runs with."""
    before = num_threads()
    yield
    taskrt.shutdown()
    if num_threads() != before:
        taskrt.set_num_threads(before)


@pytest.mark.usefixtures("restarts")
def test_the_runtime_stops_and_starts_again() -> None:
    for _ in range(10):
        assert fib(8) == 21
        assert taskrt.shutdown() is True
        assert taskrt.shutdown() is True


@pytest.mark.usefixtures("restarts")
def test_every_thread_is_back_after_a_restart() -> None:
    for _ in range(3):
        assert fib(5) == 5
        assert taskrt.info()["started"] is True
        assert taskrt.info()["pool_threads"] == num_threads() - 1
        assert taskrt.shutdown() is True
        assert taskrt.info()["started"] is False
        assert taskrt.info()["pool_threads"] == 0


@pytest.mark.usefixtures("restarts")
def test_results_outlive_the_runtime() -> None:
    done, failed = spawn(lambda: "kept"), spawn(lambda: 1 // 0)
    taskrt.shutdown()
    assert fetch(done) == "kept"
    assert isinstance(failed.exception(), ZeroDivisionError)


@pytest.mark.usefixtures("restarts")
def test_no_thread_is_left_after_shutdown() -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    taskrt.shutdown()
    before = threads()
    assert fib(10) == 55
    with Gate() as gate:
        tasks = [spawn(fetch, gate.task) for _ in range(10)]
        until_suspended(*tasks)
    wait(*tasks)
    assert taskrt.shutdown() is True
    until_buried(threads, before)
    assert threads() <= before


def until_buried(threads: Callable[[], int], limit: int) -> None:
    """An ended thread is listed until the system has cleared it away."""
    while threads() > limit:
        os.sched_yield()


@pytest.mark.usefixtures("restarts")
def test_other_threads_may_stay_and_use_it_after_a_restart() -> None:
    def run() -> None:
        for _ in range(3):
            turn.wait()
            results.append(fib(8))
            turn.wait()

    results: list[int] = []
    turn = threading.Barrier(2)
    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(3):
        turn.wait()
        turn.wait()
        assert taskrt.shutdown() is True
    thread.join()
    assert results == [21] * 3


def test_shutdown_inside_a_task_is_refused() -> None:
    def run() -> None:
        with pytest.raises(RuntimeError, match="shutdown"):
            taskrt.shutdown()

    fetch(pinned(run))
    fetch(spawn(run))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    ("timeout", "error"), [("1", TypeError), (float("nan"), ValueError)]
)
def test_shutdown_refuses_bad_timeouts(timeout: float, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout"):
        taskrt.shutdown(timeout=timeout)
    assert fib(3) == 2


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2", "4"])
@pytest.mark.parametrize("how", ["drain", "cancel", "no wait", "timeout"])
def test_shutdown(threads: str, how: str) -> None:
    result = run_script(
        TESTS / "isolated" / "shutdown.py",
        how,
        env={"TASKRT_NUM_THREADS": threads, "PYTHONPATH": str(TESTS)},
    )
    assert (result.stdout, result.stderr) == ("shut down\n", "")


@pytest.mark.isolated
def test_traced_functions_run_after_a_shutdown() -> None:
    result = run_script(
        TESTS / "isolated" / "traced_after_shutdown.py",
        env={"TASKRT_NUM_THREADS": "2"},
    )
    assert (result.stdout, result.stderr) == ("55\n", "")


@pytest.mark.usefixtures("restarts")
def test_memory_is_steady_over_a_hundred_starts() -> None:
    def cycle() -> None:
        assert fib(5) == 5
        with Gate() as gate:
            task = spawn(fetch, gate.task)
            until_suspended(task)
        wait(task)
        assert taskrt.shutdown() is True

    assert blocks_left_by(cycle, 100) <= 25
