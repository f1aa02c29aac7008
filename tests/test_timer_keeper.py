"""What keeps timers, and what becomes of them when it ends."""

from __future__ import annotations

import pytest
from support.child import UNDER_ASAN, run_script
from support.gates import until

import taskrt
from taskrt import CancelledError, Timer, fetch, spawn_later, timers, wait

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002
LONG = 1000.0


def fail(error: BaseException) -> None:
    raise error


@pytest.fixture(autouse=True)
def nothing_left_over() -> object:
    yield
    timers._keeper.stop()
    until(lambda: (task := timers._keeper._task) is None or task.done())


def test_stopped_while_some_are_started_the_others_are_cancelled() -> None:
    class Stopping(Timer):
        def _fire(self, now: float) -> None:
            timers._keeper.stop()
            super()._fire(now)

    with timers._keeper._lock:  # it sees both or none
        timer = Stopping(0, int)
        other = taskrt._core._make(0, int)
        timers._keeper.add(timer._deadline, other)
    wait(other, timer._next)
    assert (other.state, timer._next.state) == ("cancelled", "done")


def test_none_is_left_to_a_keeper_that_was_cancelled() -> None:
    for _ in range(20):
        task = spawn_later(LONG, int)
        timer = Timer(LONG, int, interval=1)
        keeper = timers._keeper._task
        assert keeper is not None
        keeper.cancel()  # before it has begun, or as it waits
        wait(task)
        assert task.cancelled()
        until(timer.done)
        wait(keeper)
    assert fetch(spawn_later(SOON, int)) == 0


def test_a_keeper_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Timer):
        def _fire(self, now: float) -> None:
            raise KeyboardInterrupt

    reports: list[BaseException | None] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: reports.append(args[1]))
    task = spawn_later(LONG, int)
    timer = Failing(SOON, int)
    with pytest.raises(CancelledError, match="what keeps the timers has failed"):
        fetch(task)
    assert timer.done()
    until(lambda: reports)
    assert isinstance(reports[0], KeyboardInterrupt)


def test_an_interrupted_start_of_the_keeper_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch(spawn_later(SOON, int))
    until(lambda: timers._keeper._task is None)
    with monkeypatch.context() as patched:
        patched.setattr(taskrt._core, "_submit", lambda _: fail(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            spawn_later(SOON, int)
    assert fetch(spawn_later(SOON, int)) == 0


# --- the end of the process -----------------------------------------------------------


@pytest.mark.isolated
@pytest.mark.parametrize("count", [1, 2])
def test_pending_timers_do_not_hold_up_the_exit(count: int) -> None:
    run_script(
        f"""
        import sys, taskrt
        taskrt.set_num_threads({count})
        late = taskrt.spawn_later(1000, print, "never")
        timer = taskrt.Timer(1000, print, "never", interval=1)
        taskrt.fetch(taskrt.spawn(int))
        stuck = taskrt.spawn(taskrt._core.Event().wait)
        taskrt.fetch(taskrt.spawn_later(0.001, int))
        """
    )


@pytest.mark.isolated
def test_what_follows_runs_before_the_exit() -> None:
    result = run_script(
        """
        import taskrt
        for n in range(50):
            task = taskrt.spawn(taskrt.sleep, 0.001)
            for _ in range(5):
                task = taskrt.spawn_after(task, lambda: None)
            taskrt.spawn_after(task, print, "ran")
        """
    )
    assert result.stdout.count("ran") == 50


@pytest.mark.isolated
def test_shutdown_cancels_pending_timers_and_new_ones_work() -> None:
    run_script(
        """
        import taskrt
        late = taskrt.spawn_later(1000, print, "never")
        assert taskrt.shutdown() is True
        assert late.cancelled()
        assert taskrt.fetch(taskrt.spawn_later(0.001, int)) == 0
        """
    )


@pytest.mark.isolated
@pytest.mark.parametrize("count", [1, 2])
def test_exit_functions_may_use_timers(count: int) -> None:
    result = run_script(
        f"""
        import atexit, taskrt
        taskrt.set_num_threads({count})
        taskrt.fetch(taskrt.spawn_later(0.001, int))

        def late():
            event = taskrt.Event()
            timer = taskrt.Timer(0.001, event.set, interval=0.001)
            detached = taskrt.Spawner(detached=True)
            assert taskrt.fetch(detached(taskrt.sleep, 0.001)) is None
            print(event.wait(), taskrt.fetch(taskrt.spawn_later(0.001, int)))
            taskrt.spawn_later(1000, print, "never")  # and the process ends

        atexit.register(late)
        """
    )
    assert (result.stdout, result.stderr) == ("True 0\n", "")


@pytest.mark.isolated
@pytest.mark.parametrize("count", [1, 2])
def test_a_timer_made_after_the_shutdown_began_is_cancelled(count: int) -> None:
    result = run_script(
        f"""
        import taskrt
        taskrt.set_num_threads({count})
        go = taskrt.Event()

        def work():
            go.wait()
            return taskrt.spawn_later(0.001, int)

        task = taskrt.spawn(work)
        taskrt.sleep(0.01)
        taskrt.shutdown(wait=False)
        go.set()
        late = taskrt.fetch(task)
        taskrt.wait(late)
        print(late.cancelled())
        """
    )
    assert (result.stdout, result.stderr) == ("True\n", "")


@pytest.mark.isolated
@pytest.mark.skipif(UNDER_ASAN, reason="forks with threads")
def test_a_forked_child_has_no_timers_of_its_parent() -> None:
    run_script(
        """
        import os, taskrt, warnings
        warnings.simplefilter("ignore")
        late = taskrt.spawn_later(1000, print, "never")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                from taskrt import timers
                assert not timers._keeper._heap
                assert taskrt.fetch(taskrt.spawn_later(0.001, int)) == 0
                try:
                    taskrt.fetch(late, timeout=0.01)
                except taskrt.TaskLostError:
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        late.cancel()
        """
    )
