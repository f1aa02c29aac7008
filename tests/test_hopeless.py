"""Main learns that nothing can run any more, and only then."""

import pytest
from support.child import run_script
from support.sources import ROOT


@pytest.mark.isolated
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_main_is_told_of_locks_that_guests_hold(workers: int) -> None:
    env = {"TASKRT_NUM_THREADS": str(workers)}
    script = ROOT / "tests/isolated/hopeless_guests.py"
    run_script(script, env=env, timeout=20)


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2", "8"])
@pytest.mark.parametrize("how", ["wakes", "sets"])
def test_who_goes_away_during_the_look_still_counts(how: str, threads: str) -> None:
    env = {"TASKRT_NUM_THREADS": threads}
    run_script(ROOT / "tests/isolated/hopeless_looks.py", how, env=env, timeout=20)


@pytest.mark.isolated
@pytest.mark.parametrize("debug", ["0", "1"])
def test_thread_that_threading_does_not_know_counts(debug: str) -> None:
    env = {"TASKRT_DEBUG": debug}
    run_script(ROOT / "tests/isolated/hopeless_nameless.py", env=env, timeout=20)


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2"])
def test_tasks_that_main_refuses_are_run_for_it(threads: str) -> None:
    env = {"TASKRT_NUM_THREADS": threads}
    run_script(ROOT / "tests/isolated/main_alone.py", env=env, timeout=20)
