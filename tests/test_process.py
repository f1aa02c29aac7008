"""The edges of a process: import, environment, exit, fork, Ctrl-C.

Each test runs a script of `isolated/`, whose first lines say what it tries.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from support.child import UNDER_ASAN, Child, Result, run_script

TESTS = Path(__file__).parent

# What a run of the whole suite asks for, or else every kind of pool.
SIZES = (
    [os.environ["TASKRT_NUM_THREADS"]] if "TASKRT_NUM_THREADS" in os.environ else "124"
)

at_every_size = pytest.mark.parametrize("threads", SIZES)

# Ctrl-C is to end the process in less than a second. A machine that runs other tests
# may take some more; what is excluded is that it waited for a task of a minute.
PATIENCE_S = 10

pytestmark = pytest.mark.isolated


def environment(threads: str) -> dict[str, str]:
    return {"TASKRT_NUM_THREADS": threads, "PYTHONPATH": str(TESTS)}


def run(script: str, *args: str, threads: str = "2", expect: int | None = 0) -> Result:
    return run_script(
        TESTS / "isolated" / f"{script}.py",
        *args,
        env=environment(threads),
        options=["-W", "ignore::DeprecationWarning"],
        expect=expect,
    )


def start(script: str, *args: str, threads: str = "2") -> Child:
    path = TESTS / "isolated" / f"{script}.py"
    return Child(path, *args, env=environment(threads))


def lines(result: Result) -> Counter[str]:
    return Counter(result.stdout.splitlines())


# --- import and environment -----------------------------------------------------------


def test_import_starts_no_thread_and_installs_nothing() -> None:
    result = run("import_effects")
    assert result.stdout == "clean\n"
    assert result.stderr == ""


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-1",
        "two",
        "2,",
        "1e3",
        "100000",
        "1025",
        ",2",
        "2,-1",
        "2,1,1",
        "2,x",
        "1.5",
    ],
)
def test_bad_number_of_threads_is_a_value_error_at_first_use(value: str) -> None:
    result = run("environment", "num_threads", "spawn", "num_threads", threads=value)
    said = result.stdout.splitlines()
    assert len(said) == 3
    for line in said:
        assert "ValueError" in line
        assert "TASKRT_NUM_THREADS" in line
        assert repr(value) in line
        assert "1024" in line
        assert "auto" in line


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", "1"), ("3", "3"), ("64", "64"), ("2,1", "2"), ("3,0", "3")],
)
def test_number_of_threads_is_taken_from_the_environment(
    value: str, expected: str
) -> None:
    result = run("environment", "spawn", "num_threads", threads=value)
    assert result.stdout == f"spawn {expected}\nnum_threads {expected}\n"


@pytest.mark.parametrize("value", ["", "auto"])
def test_no_number_of_threads_means_the_processors_there_are(value: str) -> None:
    script = "import taskrt; print(taskrt.num_threads() == taskrt.available_cpus())"
    result = run_script(script, env={"TASKRT_NUM_THREADS": value})
    assert result.stdout == "True\n"


@pytest.mark.parametrize("variable", ["TASKRT_INLINE", "TASKRT_DEBUG"])
@pytest.mark.parametrize("value", ["2", "yes", "-1", "01"])
def test_bad_switch_is_a_value_error_at_first_use(variable: str, value: str) -> None:
    result = run_script(
        TESTS / "isolated" / "environment.py", "spawn", "spawn", env={variable: value}
    )
    said = result.stdout.splitlines()
    assert len(said) == 2
    for line in said:
        assert "ValueError" in line
        assert variable in line
        assert repr(value) in line


@at_every_size
def test_results_are_the_same_with_inline_running_turned_off(threads: str) -> None:
    result = run_script(
        TESTS / "isolated" / "inline_off.py",
        env={**environment(threads), "TASKRT_INLINE": "0"},
    )
    assert result.stdout == "same\n"


def test_debug_note_tells_where_the_task_was_spawned() -> None:
    result = run_script(
        TESTS / "isolated" / "debug_note.py",
        env={**environment("2"), "TASKRT_DEBUG": "1"},
    )
    assert result.stdout.startswith("True\n"), result.stdout


def test_subinterpreter_is_refused() -> None:
    result = run("subinterpreter")
    assert result.stdout.startswith("ImportError: ")
    assert "interpreter" in result.stdout


# --- exit -----------------------------------------------------------------------------


@at_every_size
def test_exit_runs_what_is_pending(threads: str) -> None:
    result = run("exit_pending", threads=threads)
    assert lines(result) == Counter(f"ran {i}" for i in range(100))
    assert result.stderr == ""


@at_every_size
def test_exit_lets_a_running_task_finish(threads: str) -> None:
    result = run("exit_running", threads=threads)
    assert (result.stdout, result.stderr) == ("ended\n", "")


@at_every_size
def test_exit_cancels_what_waits_for_nobody(threads: str) -> None:
    result = run("exit_suspended", threads=threads)
    assert lines(result) == Counter(
        [
            "stuck was cancelled",
            "stuck cleaned up",
            "behind it was cancelled",
            "behind it cleaned up",
            "lucky got in time",
            "lucky cleaned up",
        ]
    )
    assert result.stderr == ""


@at_every_size
def test_exit_reports_each_unobserved_failure_once(threads: str) -> None:
    result = run("exit_failing", threads=threads)
    assert result.stdout == "main ends\n"
    for i in range(16):
        assert result.stderr.count(f": <failure {i}>\n") == 1, (i, result)
    assert "<failure 98>" not in result.stderr
    assert "<failure 99>" not in result.stderr


@at_every_size
def test_exit_cancels_detached_tasks_at_once(threads: str) -> None:
    result = run("exit_detached", threads=threads)
    assert lines(result) == Counter(["detached cleaned up", "drained"])
    assert result.stderr == ""


def test_a_callback_of_taskrt_is_not_what_the_exit_interrupts() -> None:
    result = run("exit_interrupted_callback", threads="4")
    assert (result.stdout, result.stderr) == ("call call end", "")


@at_every_size
@pytest.mark.parametrize("how", ["polite", "deaf"])
def test_ctrl_c_ends_the_drain(threads: str, how: str) -> None:
    with start("exit_drain_interrupted", how, threads=threads) as child:
        child.wait_for_line("draining")
        child.send_signal(signal.SIGINT)
        result = child.finish(expect=None)
    assert result.returncode in (0, 1, 120, 130, -signal.SIGINT), result


@at_every_size
def test_threads_that_wait_at_exit_get_what_there_is(threads: str) -> None:
    result = run("exit_with_waiting_threads", threads=threads)
    assert (result.stdout, result.stderr) == ("joined got it\n", "")


@at_every_size
def test_spawn_after_the_drain_is_refused(threads: str) -> None:
    result = run("exit_late_spawn", threads=threads)
    said = result.stdout.splitlines()
    assert said[0].startswith("refused: ")
    assert said[1:] == ["early result"]
    assert result.stderr == ""


@at_every_size
def test_atexit_functions_use_the_runtime(threads: str) -> None:
    result = run("exit_atexit", threads=threads)
    assert result.stdout.splitlines() == [
        "in main 55",
        "after the first use 55",
        "before the first use 55",
    ]
    assert result.stderr == ""
    assert run("exit_atexit_only", threads=threads).stdout == "3\n"


@at_every_size
def test_finalizers_after_the_end_are_harmless(threads: str) -> None:
    assert run("exit_finalizers", threads=threads).stderr == ""


@at_every_size
@pytest.mark.parametrize(
    ("how", "code"),
    [("normal", 0), ("exit", 3), ("raise", 1), ("task's exit", 4)],
)
def test_exit_code_is_the_programs(threads: str, how: str, code: int) -> None:
    result = run("exit_code", how, threads=threads, expect=code)
    assert result.stdout == "ran\n"
    assert ("main's own" in result.stderr) == (how == "raise")


@at_every_size
def test_os_exit_in_a_task_ends_the_process(threads: str) -> None:
    run("exit_code", "at once", threads=threads, expect=7)


@at_every_size
def test_exit_after_shutdown(threads: str) -> None:
    result = run("exit_after_shutdown", threads=threads)
    assert (result.stdout, result.stderr) == ("shut down twice\n", "")


# --- fork -----------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

forks_at_every_size = pytest.mark.parametrize("threads", "1" if UNDER_ASAN else SIZES)

BOTH = Counter(["child is well", "parent is well"])


@needs_fork
@forks_at_every_size
@pytest.mark.parametrize("end", ["hard", "soft"])
def test_fork_in_main(threads: str, end: str) -> None:
    assert lines(run("fork_in_main", end, threads=threads)) == BOTH


@needs_fork
@forks_at_every_size
@pytest.mark.parametrize("end", ["hard", "return", "raise", "exit"])
def test_fork_in_a_task(threads: str, end: str) -> None:
    result = run("fork_in_task", end, threads=threads)
    assert lines(result) == BOTH
    assert ("ValueError: from the child" in result.stderr) == (end == "raise")


@needs_fork
@pytest.mark.skipif(UNDER_ASAN, reason="its allocator does not survive such a fork")
@at_every_size
def test_fork_in_a_plain_thread(threads: str) -> None:
    result = run("fork_in_thread", threads=threads)
    assert lines(result) == Counter({"child is well": 2, "parent is well": 1})


@needs_fork
@forks_at_every_size
@pytest.mark.parametrize(
    "script",
    [
        "fork_at_start",
        "fork_grandchildren",
        "fork_in_handler",
        "fork_in_mid_work",
        "fork_multiprocessing",
        "fork_unused",
    ],
)
def test_fork(threads: str, script: str) -> None:
    assert run(script, threads=threads).stdout == "all is well\n"


@needs_fork
@forks_at_every_size
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts in /proc")
def test_a_forked_child_keeps_no_descriptors_of_the_runtime(threads: str) -> None:
    assert run("fork_descriptors", threads=threads).stdout == "all is well\n"


@needs_fork
@forks_at_every_size
def test_child_leaves_the_parents_tasks_alone(threads: str) -> None:
    result = run("fork_at_exit", threads=threads)
    assert lines(result) == Counter({"parent's": 20, "child's": 10})


# --- Ctrl-C ---------------------------------------------------------------------------


def assert_interrupted(result: Result) -> None:
    assert result.returncode in (130, -signal.SIGINT), result
    assert result.stderr.count("Traceback (most recent call last)") == 1, result
    assert "\nKeyboardInterrupt\n" in result.stderr, result


@at_every_size
@pytest.mark.parametrize("script", ["ctrl_c_busy", "ctrl_c_deaf_guest"])
def test_ctrl_c_ends_a_busy_program_at_once(threads: str, script: str) -> None:
    with start(script, threads=threads) as child:
        child.wait_for_line("main is in")
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        result = child.finish(expect=None)
        took = time.monotonic() - began
    assert_interrupted(result)
    assert took < PATIENCE_S


@at_every_size
def test_ctrl_c_wakes_a_sleeping_main(threads: str) -> None:
    assert_interrupted(run("ctrl_c_idle", threads=threads, expect=None))


@at_every_size
def test_ctrl_c_spares_the_task_that_main_happens_to_run(threads: str) -> None:
    result = run("ctrl_c_guest", threads=threads)
    assert (result.stdout, result.stderr) == ("still the default in main\n", "")


@at_every_size
def test_ctrl_c_in_a_task_that_main_runs_for_itself(threads: str) -> None:
    result = run("ctrl_c_inline", threads=threads)
    assert (result.stdout, result.stderr) == ("interrupted\ninterrupted\n", "")


@at_every_size
def test_ctrl_c_never_reaches_a_worker(threads: str) -> None:
    result = run("ctrl_c_workers", threads=threads)
    assert (result.stdout, result.stderr) == ("unharmed\n", "")


@at_every_size
def test_runtime_is_as_good_as_new_after_ctrl_c(threads: str) -> None:
    result = run("ctrl_c_twice", threads=threads)
    assert (result.stdout, result.stderr) == ("as good as new\n", "")


@at_every_size
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGALRM"])
def test_handlers_of_the_program_run_while_main_waits(threads: str, name: str) -> None:
    result = run("ctrl_c_handlers", name, threads=threads)
    assert (result.stdout, result.stderr) == ("raised\nhandled\n", "")


@at_every_size
def test_default_action_of_the_system_is_kept(threads: str) -> None:
    with start("ctrl_c_default_action", threads=threads) as child:
        child.wait_for_line("waiting")
        child.send_signal(signal.SIGINT)
        result = child.finish(expect=-signal.SIGINT)
    assert result.stderr == ""


def test_the_scripts_are_all_run() -> None:
    """A script that no test names would prove nothing."""
    tests = "".join(path.read_text("utf-8") for path in TESTS.rglob("test_*.py"))
    scripts = sorted(path.stem for path in (TESTS / "isolated").glob("*.py"))
    assert [name for name in scripts if name not in tests] == []
