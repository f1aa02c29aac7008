"""Main waits and nothing can ever run: DeadlockError; unless something may yet come.

Each test runs a script of `isolated/`: the threads of a test run are hope.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.child import UNDER_ASAN, Child, Result, run_script

TESTS = Path(__file__).parent

SIZES = (
    [os.environ["TASKRT_NUM_THREADS"]] if "TASKRT_NUM_THREADS" in os.environ else "128"
)

pytestmark = [
    pytest.mark.isolated,
    pytest.mark.skipif(
        not Path("/proc/self/task").is_dir(), reason="the system hides its threads"
    ),
]

at_every_size = pytest.mark.parametrize("threads", SIZES)


def run(
    script: str, *args: str, threads: str, expect: int = 0, debug: str = "0"
) -> Result:
    env = {
        "TASKRT_NUM_THREADS": threads,
        "TASKRT_DEBUG": debug,
        "PYTHONPATH": str(TESTS),
    }
    path = TESTS / "isolated" / f"{script}.py"
    options = ["-W", "ignore::DeprecationWarning"]
    return run_script(path, *args, env=env, options=options, expect=expect)


@at_every_size
@pytest.mark.parametrize("debug", "01")
def test_every_wait_for_nothing_is_refused_and_explained(
    threads: str, debug: str
) -> None:
    result = run("deadlock_waits", threads=threads, debug=debug)
    assert (result.stdout, result.stderr) == ("all are refused\n", "")


@at_every_size
@pytest.mark.parametrize(
    "what",
    [
        "thread",
        "thread_puts",
        "thread_behind_a_task",
        "sleeping_task",
        "sleeping_group",
        "timer",
        "deadline",
        "descriptor",
        "handler",
    ],
)
def test_a_wait_that_something_may_end_is_left_alone(threads: str, what: str) -> None:
    if UNDER_ASAN and what == "handler" and threads != "1":
        pytest.skip("forks beside other threads, see child.py")
    result = run("deadlock_hope", what, threads=threads)
    assert (result.stdout, result.stderr) == ("it came\n", "")


@at_every_size
def test_a_thread_that_python_does_not_know_is_hope(threads: str) -> None:
    alarm = -signal.SIGALRM
    result = run("deadlock_hope", "native", "alarm", threads=threads, expect=alarm)
    assert result.stderr == ""


@at_every_size
def test_for_the_debugger_only_threads_of_python_are_hope(threads: str) -> None:
    """So that threads of a numeric library, which only wait for work, hide nothing."""
    result = run("deadlock_hope", "native", threads=threads, expect=1, debug="1")
    assert "DeadlockError: this wait would never end" in result.stderr
    run("deadlock_hope", "thread", threads=threads, debug="1")


@at_every_size
def test_an_ignored_ctrl_c_makes_no_difference(threads: str) -> None:
    script = """
        import signal, taskrt
        signal.signal(signal.SIGINT, getattr(signal, {name!r}))
        try:
            taskrt.wait_any([taskrt.spawn(taskrt.Event().wait) for _ in range(3)])
        except taskrt.DeadlockError:
            print("refused")
        """
    for name in ("SIG_IGN", "SIG_DFL", "default_int_handler"):
        env = {"TASKRT_NUM_THREADS": threads}
        assert run_script(script.format(name=name), env=env).stdout == "refused\n"


def test_a_handler_for_ctrl_c_is_hope() -> None:
    script = """
        import signal, taskrt
        event = taskrt.Event()
        signal.signal(signal.SIGINT, lambda *_: event.set())
        tasks = [taskrt.spawn(event.wait) for _ in range(3)]
        while not all(task.state == "suspended" for task in tasks):
            taskrt.yield_now()
        print("waiting", flush=True)
        taskrt.wait_all(tasks)
        print("it came")
        """
    with Child(script, env={"TASKRT_NUM_THREADS": "2"}) as child:
        child.wait_for_line("waiting")
        child.send_signal(signal.SIGINT)
        assert child.finish().stdout == "waiting\nit came\n"
