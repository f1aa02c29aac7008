"""The backend of joblib, the scheduler of Dask, and the edges of a process."""

from __future__ import annotations

import importlib.util
import signal

import pytest
from support.child import UNDER_ASAN, Child, run_script

pytestmark = pytest.mark.isolated

HEAD = """
import os, sys, threading, time, warnings
import taskrt
from taskrt import AtomicInt, Event, fetch, spawn
from taskrt.interop import joblib as ours
"""
JOBLIB = """
from joblib import Parallel, delayed
ours.register()

def call(work):
    return Parallel(n_jobs=2, backend="taskrt", batch_size=1)(
        delayed(work)(n) for n in range(8)
    )
"""
DASK = """
import dask.local
from taskrt.interop.dask import get

def call(work):
    return list(get({f"{n}": (work, n) for n in range(8)}, [f"{n}" for n in range(8)]))
"""

needs_joblib = pytest.mark.skipif(
    importlib.util.find_spec("joblib") is None, reason="joblib is not installed"
)
needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("dask") is None, reason="Dask is not installed"
)
every_library = pytest.mark.parametrize(
    "library",
    [
        pytest.param(JOBLIB, marks=needs_joblib, id="joblib"),
        pytest.param(DASK, marks=needs_dask, id="dask"),
    ],
)


def run(script: str, threads: str = "2") -> str:
    result = run_script(HEAD + script, env={"TASKRT_NUM_THREADS": threads})
    assert result.stderr == ""
    return result.stdout


def test_import_of_the_bridges_imports_no_library() -> None:
    script = """
import taskrt.interop.dask
assert "joblib" not in sys.modules and "dask" not in sys.modules
assert not taskrt.info()["started"]
"""
    run(script)


@needs_joblib
def test_register_starts_nothing() -> None:
    run(
        JOBLIB + 'assert not taskrt.info()["started"] and threading.active_count() == 1'
    )


def test_libraries_that_are_missing_are_named() -> None:
    script = """
sys.modules["joblib"] = sys.modules["dask"] = None
from taskrt.interop.dask import get
for fn in ours.register, lambda: get({}, []):
    try:
        fn()
    except ImportError as error:
        print(error)
"""
    assert run(script).splitlines() == [
        "register() needs joblib 1.4 or later, which is not installed: "
        "pip install 'taskrt[joblib]'",
        "taskrt.interop.dask.get() needs Dask: pip install 'taskrt[dask]'",
    ]


@every_library
@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_results_are_the_same_at_every_size(library: str, threads: str) -> None:
    script = """
count = lambda: len(os.listdir("/proc/self/task"))  # NumPy's too, which joblib loads
before = count()

def tree(depth):
    return 1 if depth == 0 else sum(call(lambda n: tree(depth - 1))[:2])

assert tree(3) == 8
assert fetch(spawn(tree, 2)) == 4
assert count() <= before + taskrt.num_threads() - 1
"""
    run(library + script, threads)


@every_library
def test_ctrl_c_ends_the_call_and_its_tasks(library: str) -> None:
    script = """
running, ready = AtomicInt(), AtomicInt()

def work(n):
    running.fetch_add()
    try:
        if ready.fetch_add() == 1:  # both are here, past what Ctrl-C may end
            os.write(1, b"running\\n")  # in one piece
        taskrt.sleep(60)  # until cancelled
    finally:
        running.fetch_sub()

try:
    call(work)
except KeyboardInterrupt:
    print("interrupted", int(running))
assert call(abs) == list(range(8))
"""
    with Child(HEAD + library + script, env={"TASKRT_NUM_THREADS": "2"}) as child:
        child.wait_for_line("running")
        child.send_signal(signal.SIGINT)
        result = child.finish()
    assert result.stderr == ""
    assert result.stdout.endswith("interrupted 0\n")


@every_library
def test_shutdown_cancels_a_call_in_a_task(library: str) -> None:
    script = """
begun = Event()

def work(n):
    begun.set()
    taskrt.sleep(60)

task = spawn(call, work)
begun.wait()
assert taskrt.shutdown(cancel=True)
assert task.cancelled()
assert call(abs) == list(range(8))
"""
    run(library + script)


@every_library
def test_exit_runs_calls_in_tasks_to_their_end(library: str) -> None:
    script = """
def work(n):
    time.sleep(0.01)
    return n

spawn(lambda: print(sum(call(work)), flush=True))
"""
    assert run(library + script) == "28\n"


@needs_joblib
@pytest.mark.parametrize("return_as", ["generator", "generator_unordered"])
def test_exit_with_an_unfinished_generator(return_as: str) -> None:
    script = f"""
warnings.simplefilter("ignore")
results = Parallel(2, backend="taskrt", return_as="{return_as}", batch_size=1)(
    delayed(Event().wait if n else int)() for n in range(100)
)
assert next(results) == 0
"""
    # joblib complains if its modules are gone already, with any backend.
    run_script(HEAD + JOBLIB + script, env={"TASKRT_NUM_THREADS": "2"})


@every_library
@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
def test_forked_child_calls_anew_and_the_parent_goes_on(library: str) -> None:
    script = """
warnings.simplefilter("ignore", DeprecationWarning)  # other threads when it forks

def work(n):
    if n == 3:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if call(abs) == list(range(8)) else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
    return n

assert call(work) == list(range(8))
"""
    run(library + script)


@needs_joblib
@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
def test_generator_of_the_parent_is_lost_in_a_forked_child() -> None:
    script = """
warnings.simplefilter("ignore")
go = Event()
results = Parallel(2, backend="taskrt", return_as="generator", batch_size=1)(
    delayed(go.wait if n else int)() for n in range(8)
)
assert next(results) == 0
child = os.fork()
if child == 0:
    code = 1
    try:
        next(results)
    except taskrt.TaskLostError:
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
go.set()
assert list(results) == [True] * 7
"""
    run(JOBLIB + script)
