"""`run_blocking` and the edges of a process: hope, the end, forks, the environment."""

from __future__ import annotations

import os
import signal

import pytest
from support.child import UNDER_ASAN, Child, Result, run_script

pytestmark = pytest.mark.isolated

at_every_size = pytest.mark.parametrize("threads", ["1", "2", "4"])

# Tells a child of something that runs on a thread, and how to let it go on.
GATE = """
import os, threading, time
import taskrt
from taskrt import DeadlockError, Event, fetch, run_blocking, spawn

def say(text):
    os.write(1, f"{text}\\n".encode())
"""


def run(script: str, threads: str = "2", **env: str) -> Result:
    return run_script(GATE + script, env={"TASKRT_NUM_THREADS": threads, **env})


# --- hope -----------------------------------------------------------------------------


@at_every_size
@pytest.mark.parametrize("debug", ["0", "1"])
def test_idle_threads_are_no_hope(threads: str, debug: str) -> None:
    """Nor those that end while main is about to despair."""
    script = """
from taskrt import blocking_calls, runtime
fetch(spawn(run_blocking, int))
run_blocking(int)
for idle_s in (10, 0.001, 0):
    blocking_calls.IDLE_S = idle_s
    for _ in range(10):
        run_blocking(int)
        try:
            Event().wait()
        except DeadlockError:
            say("hopeless")
"""
    result = run(script, threads, TASKRT_DEBUG=debug)
    assert result.stdout == 30 * "hopeless\n"


@pytest.mark.parametrize("debug", ["0", "1"])
def test_threads_of_the_pool_that_end_are_no_hope(debug: str) -> None:
    script = """
for n in range(400):
    taskrt.set_num_threads(2 + n % 3)
    fetch(spawn(int))
    taskrt.set_num_threads(1)
    try:
        Event().wait()
    except DeadlockError:
        pass
say("hopeless")
"""
    assert run(script, TASKRT_DEBUG=debug).stdout == "hopeless\n"


@at_every_size
@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_call_that_runs_is_hope(threads: str, debug: str) -> None:
    script = """
event = Event()
def call():
    time.sleep(0.05)
    event.set()
task = spawn(run_blocking, call)
assert event.wait()
fetch(task)
# And it ends with the call, also if its caller has gone.
with taskrt.move_on_after(0):
    run_blocking(time.sleep, 0.05)
try:
    Event().wait()
except DeadlockError:
    say("hopeless")
"""
    assert run(script, threads, TASKRT_DEBUG=debug).stdout == "hopeless\n"


@at_every_size
def test_a_call_whose_caller_has_gone_is_hope_while_it_runs(threads: str) -> None:
    script = """
event, started = Event(), threading.Event()
def call():
    started.set()
    time.sleep(0.05)
    event.set()
task = spawn(run_blocking, call)
while not started.is_set():
    taskrt.yield_now()
task.cancel()
taskrt.wait(task)
assert task.cancelled()
assert event.wait()
say("it came")
"""
    assert run(script, threads).stdout == "it came\n"


@at_every_size
def test_a_stranger_is_hope_beside_idle_threads(threads: str) -> None:
    script = """
run_blocking(int)
event = Event()
threading.Timer(0.05, event.set).start()
assert event.wait()
say("it came")
"""
    assert run(script, threads).stdout == "it came\n"


# --- the end --------------------------------------------------------------------------


@at_every_size
def test_exit_does_not_wait_for_idle_threads(threads: str) -> None:
    script = """
import atexit
start = time.monotonic()
fetch(spawn(run_blocking, int))
atexit.register(lambda: say("soon" if time.monotonic() - start < 5 else "late"))
"""
    assert run(script, threads).stdout == "soon\n"


@at_every_size
@pytest.mark.parametrize("how", ["waited for", "given up", "detached"])
def test_exit_waits_for_calls(threads: str, how: str) -> None:
    script = (
        f"how = {how!r}"
        + """
started = threading.Event()
def call():
    started.set()
    time.sleep(0.1)
    fetch(spawn(say, "called"))
spawner = taskrt.Spawner(detached=how == "detached")
task = spawner(run_blocking, call)
while not started.is_set():
    taskrt.yield_now()
if how == "given up":
    task.cancel()
"""
    )
    result = run(script, threads)
    assert (result.stdout, result.stderr) == ("called\n", "")


@at_every_size
def test_exit_waits_for_queued_calls(threads: str) -> None:
    script = """
for i in range(10):
    spawn(run_blocking, lambda i=i: (time.sleep(0.005), say("called")))
"""
    result = run(script, threads, TASKRT_MAX_BLOCKING="2")
    assert (result.stdout, result.stderr) == (10 * "called\n", "")


@at_every_size
def test_atexit_functions_make_calls(threads: str) -> None:
    script = """
import atexit
atexit.register(lambda: say(run_blocking(pow, 2, 3)))
@atexit.register
def fail():
    try:
        run_blocking(lambda: 1 / 0)
    except ZeroDivisionError:
        say("failed")
say(run_blocking(pow, 2, 2))
"""
    result = run(script, threads)
    assert (result.stdout, result.stderr) == ("4\nfailed\n8\n", "")


def test_a_thread_that_calls_for_ever_does_not_hold_up_the_exit() -> None:
    script = """
def forever():
    try:
        while True:
            run_blocking(int)
    except RuntimeError as error:
        say(error)
run_blocking(int)  # so that the exit knows of taskrt
threading.Thread(target=forever).start()
time.sleep(0.02)
"""
    result = run(script)
    assert result.stdout.startswith("cannot run_blocking: taskrt is shutting down")


@at_every_size
def test_shutdown_ends_the_threads(threads: str) -> None:
    script = """
for _ in range(3):
    assert fetch(spawn(run_blocking, pow, 2, 3)) == 8
    assert taskrt.shutdown()
    assert threading.active_count() == 1, threading.enumerate()
"""
    run(script, threads)


@at_every_size
@pytest.mark.parametrize("how", ["cancel=True", "timeout=0.02"])
def test_shutdown_tells_that_a_call_runs(threads: str, how: str) -> None:
    script = """
started, may_end = threading.Event(), threading.Event()
def call():
    started.set()
    may_end.wait()
task = spawn(run_blocking, call)
while not started.is_set():
    taskrt.yield_now()
assert not taskrt.shutdown(HOW)
assert task.cancelled()
may_end.set()
while threading.active_count() > 1:
    time.sleep(0.001)
assert taskrt.shutdown()
assert run_blocking(pow, 2, 3) == 8
""".replace("HOW", how)
    run(script, threads)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_ends_the_wait_of_main(threads: str) -> None:
    script = (
        GATE
        + """
may_end = threading.Event()
def call():
    say("ready")
    may_end.wait()
try:
    run_blocking(call)
except KeyboardInterrupt:
    say("interrupted")
assert taskrt.stats()["blocking"] == 1
may_end.set()
assert run_blocking(pow, 2, 3) == 8
"""
    )
    with Child(script, env={"TASKRT_NUM_THREADS": threads}) as child:
        child.wait_for_line("ready")
        child.send_signal(signal.SIGINT)
        assert child.finish().stdout == "ready\ninterrupted\n"


@pytest.mark.parametrize("is_nested", [False, True])
def test_an_interrupt_of_the_start_of_a_thread_is_raised(is_nested: bool) -> None:
    """CPython hides it behind "release unlocked lock"."""
    script = """
from support.interrupts import Interrupt, interrupt_start

def start():
    interrupt_start()
    run_blocking(int)
def start_nested():
    try:
        raise KeyError
    except KeyError:
        start()
try:
    START()
except Interrupt as error:
    say(f"interrupted {error.__context__!r}")
while taskrt.stats()["blocking"]:
    time.sleep(0.001)
assert run_blocking(pow, 2, 3) == 8
""".replace("START", "start_nested" if is_nested else "start")
    found = "KeyError()" if is_nested else "None"
    assert run(script).stdout == f"interrupted {found}\n"


# --- forks ----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
@pytest.mark.parametrize("threads", ["1", "2", "4"])
@pytest.mark.parametrize("where", ["main", "task", "call"])
def test_a_forked_child_begins_anew(threads: str, where: str) -> None:
    script = (
        f"where = {where!r}"
        + """
import sys
sys.stdout.flush()
busy = threading.Event()
running = [spawn(run_blocking, busy.wait) for _ in range(2)]
fetch(spawn(run_blocking, int))

def fork():
    pid = os.fork()
    if pid == 0:
        assert taskrt.stats()["blocking"] == 0
        assert taskrt.fetch_all([spawn(run_blocking, int, i) for i in range(5)]) == [
            0, 1, 2, 3, 4
        ]
        assert run_blocking(run_blocking, int) == 0
        say("child is well")
        if where == "main":
            sys.exit(0)
        return None
    return os.waitpid(pid, 0)[1]

match where:
    case "main":
        status = fork()
    case "task":
        status = fetch(spawn(fork))
    case "call":
        status = run_blocking(fork)
assert status == 0, status
busy.set()
taskrt.wait(*running)
assert run_blocking(int) == 0
say("parent is well")
"""
    )
    result = run_script(
        GATE + script,
        env={"TASKRT_NUM_THREADS": threads},
        options=["-W", "ignore::DeprecationWarning"],
    )
    assert result.stdout == "child is well\nparent is well\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
def test_a_child_that_a_call_has_forked_ends_with_the_call() -> None:
    script = """
def fork():
    pid = os.fork()
    if pid == 0:
        raise ValueError("from the child")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
say(run_blocking(fork))
"""
    result = run_script(GATE + script, options=["-W", "ignore::DeprecationWarning"])
    assert result.stdout == "1\n"
    assert result.stderr.count("ValueError: from the child") == 1


# --- the environment ------------------------------------------------------------------


def test_most_calls_at_once_are_taken_from_the_environment() -> None:
    script = """
idents = set()
lock = threading.Lock()
def call():
    with lock:
        idents.add(threading.get_ident())
    time.sleep(0.001)
taskrt.fetch_all([spawn(run_blocking, call) for _ in range(30)])
say(len(idents))
"""
    assert run(script, TASKRT_MAX_BLOCKING="3").stdout == "3\n"


def test_a_bad_limit_is_a_value_error_and_nothing_is_left_behind() -> None:
    script = """
for _ in range(2):
    try:
        run_blocking(int)
    except ValueError as error:
        say(error)
"""
    result = run(script, TASKRT_MAX_BLOCKING="0")
    said = result.stdout.splitlines()
    assert len(said) == 2
    assert all(line.startswith("TASKRT_MAX_BLOCKING='0' is not") for line in said)
