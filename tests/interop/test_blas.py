"""NumPy's and SciPy's OpenBLAS on the pool: answers, threads, and whose they are."""

from __future__ import annotations

import importlib.util

import pytest
from support.child import UNDER_ASAN, run_script

pytestmark = pytest.mark.isolated

HEAD = """
import os, sys, threading, time
import numpy as np
import taskrt
from taskrt import fetch, spawn
from taskrt.interop import blas

def numpys():
    [found] = [lib for lib in blas.info() if "openblas64" in lib.name]
    return found

def until(condition, what=""):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.001)

rng = np.random.default_rng(1)
a = rng.standard_normal((400, 400))
spd = a @ a.T + 400 * np.eye(400)
"""

needs_numpy = pytest.mark.skipif(
    importlib.util.find_spec("numpy") is None, reason="numpy is not installed"
)


def is_steerable() -> bool:
    """Tell whether NumPy's library is one that can be steered, as it is in its wheels.

    Asked of another process: here NumPy is not imported because of that.
    """
    if importlib.util.find_spec("numpy") is None:
        return False
    script = """
import numpy
from taskrt.interop._blas_libraries import OpenBlas, find_loaded
found = [lib for lib in find_loaded() if isinstance(lib, OpenBlas)]
print(any("openblas64" in lib.path and not lib.reason for lib in found))
"""
    return run_script(script).stdout == "True\n"


@pytest.fixture(scope="session")
def steerable() -> None:
    """Skip without an OpenBLAS that can be steered."""
    if not is_steerable():
        pytest.skip("NumPy has no OpenBLAS with a threads callback here")


def run(script: str, threads: str = "2") -> str:
    result = run_script(HEAD + script, env={"TASKRT_NUM_THREADS": threads}, timeout=120)
    assert result.stderr == ""
    return result.stdout


# Two OpenBLAS threads on each machine, also where it has found one core.
TWO = """
from taskrt.interop._blas_libraries import OpenBlas, find_loaded
def give(n):
    for lib in find_loaded():
        if isinstance(lib, OpenBlas):
            lib.functions.find("openblas_set_num_threads")(n)
give(2)
"""

OPERATIONS = """
def operations(a, spd):
    single = a.astype(np.float32)
    mixed = a + 1j * a.T
    return {
        "gemm": lambda: a @ spd, "sgemm": lambda: single @ single,
        "zgemm": lambda: mixed @ mixed, "gemv": lambda: a @ a[0],
        "syrk": lambda: a @ a.T, "solve": lambda: np.linalg.solve(spd, a),
        "inv": lambda: np.linalg.inv(spd), "det": lambda: np.linalg.slogdet(a)[1],
        "svd": lambda: np.linalg.svd(a)[1], "eigh": lambda: np.linalg.eigh(spd)[0],
        "cholesky": lambda: np.linalg.cholesky(spd),
        "lstsq": lambda: np.linalg.lstsq(a, a[0], rcond=None)[0],
        "qr": lambda: np.abs(np.linalg.qr(a)[1]),
    }

def agrees(name, got, want):
    scale = np.abs(want).max()
    near = 1e-4 if name == "sgemm" else 1e-9
    return np.allclose(got / scale, want / scale, rtol=0, atol=near)
"""


@pytest.mark.usefixtures("steerable")
@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_answers_are_those_of_the_libraries_own_threads(threads: str) -> None:
    script = """
give(int(os.environ["TASKRT_NUM_THREADS"]))
ops = operations(a[:160, :160], spd[:160, :160])
want = {name: op() for name, op in ops.items()}
with blas.share_pool():
    for name, op in ops.items():
        assert agrees(name, op(), want[name]), name
        assert agrees(name, fetch(spawn(op)), want[name]), name
    tasks = [(name, spawn(op)) for name, op in ops.items() for _ in range(3)]
    for name, task in tasks:
        assert agrees(name, fetch(task), want[name]), name
    assert blas.statistics()["gangs"] > 0 or taskrt.num_threads() == 1
"""
    run(TWO + OPERATIONS + script, threads)


@pytest.mark.usefixtures("steerable")
def test_idle_workers_take_part_and_no_other_threads_come() -> None:
    script = """
with blas.share_pool():
    until(lambda: numpys().threads == 2)
    before = blas.statistics()
    threads = len(os.listdir("/proc/self/task"))
    for _ in range(20):
        a @ a
    after = blas.statistics()
    assert after["gangs"] - before["gangs"] == 20, after
    assert after["worker_jobs"] - before["worker_jobs"] == 20, after
    assert after["helpers"] == 0, after
    assert len(os.listdir("/proc/self/task")) == threads
"""
    run(TWO + script)


@pytest.mark.usefixtures("steerable")
def test_a_task_uses_main_while_main_waits_for_it() -> None:
    script = """
def product():
    until(lambda: numpys().threads == 2)
    return a @ a

with blas.share_pool():
    pinned = spawn(taskrt.sleep, 0)
    fetch(pinned)
    before = blas.statistics()["worker_jobs"]
    # Not run by main itself: that is in a wait without a time limit when it begins.
    gate = taskrt.Event()
    def later():
        gate.wait()
        return product()
    task = spawn(later)
    until(lambda: task.running())
    gate.set()
    assert np.allclose(fetch(task), a @ a)
    assert blas.statistics()["worker_jobs"] > before
"""
    run(TWO + script)


@pytest.mark.usefixtures("steerable")
def test_calls_made_while_all_are_busy_have_one_thread() -> None:
    script = """
give(4)
barrier, ready = threading.Barrier(4), threading.Barrier(4)

def product():
    barrier.wait()                     # four threads are busy, which are all there are
    assert numpys().threads == 1
    gangs = blas.statistics()["gangs"]
    for _ in range(5):
        a @ a
    ready.wait()
    return blas.statistics()["gangs"] - gangs

with blas.share_pool():
    tasks = [spawn(product) for _ in range(4)]
    assert [fetch(task) for task in tasks] == [0, 0, 0, 0]
    until(lambda: numpys().threads == 4)  # when they sleep again
"""
    run(TWO + script, "4")


@pytest.mark.usefixtures("steerable")
def test_number_of_threads_is_given_back() -> None:
    script = """
for given in (1, 2, 3):
    give(given)
    with blas.share_pool() as outer:
        assert numpys().steered and numpys().reason == ""
        with blas.share_pool():
            pass
        assert numpys().steered
        assert numpys().threads <= given
        assert [numpys().name] == taskrt.info()["blas"]
    assert not numpys().steered
    assert numpys().threads == given
    outer.close()
    assert numpys().threads == given
    assert taskrt.info()["blas"] == []
    gangs = blas.statistics()["gangs"]
    a @ a
    assert blas.statistics()["gangs"] == gangs
try:
    with blas.share_pool():
        raise KeyError
except KeyError:
    assert not numpys().steered
sharing = blas.share_pool()
sharing.close()
sharing.close()
assert "share_pool() has not been called" in numpys().reason
"""
    run(TWO + script)


@pytest.mark.usefixtures("steerable")
def test_number_that_somebody_else_raises_does_no_harm() -> None:
    script = """
big = rng.standard_normal((1500, 1500))
want = big @ big
with blas.share_pool():
    for number in (5, 33, 40):
        give(number)
        assert np.allclose(big @ big, want)
    fetch(spawn(taskrt.sleep, 0.01))       # workers sleep and wake: it is set anew
    until(lambda: numpys().threads <= 2)
until(lambda: blas.statistics()["helpers"] == 0)
assert numpys().threads == 2
"""
    run(TWO + script)


@pytest.mark.usefixtures("steerable")
def test_foreign_threads_use_idle_workers() -> None:
    script = """
wrong = []
def product():
    for _ in range(30):
        if not np.allclose(a @ a, want):
            wrong.append(1)

want = a @ a
with blas.share_pool():
    threads = [threading.Thread(target=product) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert blas.statistics()["worker_jobs"] > 0
assert not wrong
until(lambda: blas.statistics()["helpers"] == 0, "helpers end with the sharing")
"""
    run(TWO + script)


@pytest.mark.usefixtures("steerable")
def test_tasks_that_come_meanwhile_are_run() -> None:
    script = """
big = rng.standard_normal((900, 900))
want = big @ big
with blas.share_pool():
    for _ in range(10):
        product = spawn(big.__matmul__, big)
        small = [spawn(lambda i=i: i) for i in range(50)]
        assert [fetch(t) for t in small] == list(range(50))
        assert np.allclose(fetch(product), want)
"""
    run(TWO + script)


@pytest.mark.usefixtures("steerable")
def test_shutdown_gives_back_and_a_new_start_takes_again() -> None:
    script = """
with blas.share_pool():
    a @ a
    assert taskrt.shutdown()
    assert not numpys().steered and numpys().threads == 2
    assert "once that starts again" in numpys().reason
    a @ a
    fetch(spawn(int))
    assert numpys().steered
    until(lambda: numpys().threads == 2)
    gangs = blas.statistics()["gangs"]
    a @ a
    assert blas.statistics()["gangs"] == gangs + 1
    taskrt.shutdown()
assert numpys().threads == 2
"""
    run(TWO + script)


@pytest.mark.usefixtures("steerable")
def test_calls_use_one_thread_while_the_process_ends() -> None:
    script = """
import atexit
blas.share_pool()
want = a @ a
def check():
    gangs = blas.statistics()["gangs"]
    assert np.allclose(a @ a, want)
    assert blas.statistics()["gangs"] == gangs
    assert numpys().threads == 1
    print("checked")
atexit.register(check)
"""
    assert run(TWO + script) == "checked\n"


@pytest.mark.usefixtures("steerable")
@pytest.mark.parametrize("threads", ["1", "3"])
def test_exit_in_the_middle_of_calls(threads: str) -> None:
    script = """
blas.share_pool()
def forever():
    while True:
        a @ a
def some():
    for _ in range(20):
        a @ a
    print("done")
threading.Thread(target=forever, daemon=True).start()
spawn(some)
time.sleep(0.05)
"""
    assert run(TWO + script, threads) == "done\n"


@pytest.mark.usefixtures("steerable")
def test_pool_grows_and_shrinks_while_products_are_made() -> None:
    script = """
give(4)
want = a @ a
stop = False
def products():
    while not stop:
        assert np.allclose(a @ a, want)
with blas.share_pool():
    other = threading.Thread(target=products)
    other.start()
    for n in (1, 4, 2, 3, 1, 4) * 3:
        taskrt.set_num_threads(n)
        for task in [spawn(a.__matmul__, a) for _ in range(n)]:
            assert np.allclose(fetch(task), want)
    stop = True
    other.join()
"""
    run(TWO + script)


FORKS = """
import warnings
warnings.simplefilter("ignore")            # of threads in the parent
def in_child(check):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
@pytest.mark.usefixtures("steerable")
def test_forked_child_has_the_libraries_as_before() -> None:
    script = """
want = a @ a
def check():
    assert not numpys().steered and numpys().threads == 2
    assert np.allclose(a @ a, want)
    assert taskrt.info()["blas"] == []
    sharing.close()                        # is the parent's
    with blas.share_pool():
        assert numpys().steered
        assert np.allclose(fetch(spawn(a.__matmul__, a)), want)
        assert np.allclose(a @ a, want)
    assert numpys().threads == 2
    taskrt.shutdown()

with blas.share_pool() as sharing:
    for _ in range(5):
        in_child(check)
        assert numpys().steered
        gangs = blas.statistics()["gangs"]
        until(lambda: numpys().threads == 2)
        assert np.allclose(a @ a, want)
        assert blas.statistics()["gangs"] == gangs + 1
"""
    run(TWO + FORKS + script)


@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
@pytest.mark.usefixtures("steerable")
def test_fork_waits_for_calls_that_run() -> None:
    # The child makes no parallel product: OpenBLAS's own lock for them may be taken in
    # it, by a thread of the parent that was about to begin one.
    script = """
want = a @ a
stop = False
def products():
    while not stop:
        assert np.allclose(a @ a, want)
def check():
    assert not numpys().steered and numpys().threads == 2
    give(1)
    assert np.allclose(a @ a, want)
with blas.share_pool():
    other = threading.Thread(target=products)
    other.start()
    for _ in range(20):
        in_child(check)
        assert numpys().steered
        assert np.allclose(fetch(spawn(a.__matmul__, a)), want)
    stop = True
    other.join()
"""
    run(TWO + FORKS + script)


@pytest.mark.usefixtures("steerable")
@pytest.mark.skipif(
    importlib.util.find_spec("scipy") is None, reason="scipy is not installed"
)
def test_scipy_has_a_library_of_its_own_and_may_hold_the_gil() -> None:
    script = """
sharing = blas.share_pool()
import scipy.linalg
from scipy.linalg.blas import dgemm, dsyrk
assert sum(lib.steered for lib in blas.info()) == 1
assert sum(lib.kind == "OpenBLAS" for lib in blas.info()) == 2
f = np.asfortranarray(a)
want = [dgemm(1.0, f, f), dsyrk(1.0, f), scipy.linalg.cholesky(spd),
        scipy.linalg.lu_factor(spd)[0], scipy.linalg.eigh(spd)[0]]
with blas.share_pool():
    assert all(lib.steered for lib in blas.info() if lib.kind == "OpenBLAS")
    def compute():
        for _ in range(4):
            got = [dgemm(1.0, f, f), dsyrk(1.0, f), scipy.linalg.cholesky(spd),
                   scipy.linalg.lu_factor(spd)[0], scipy.linalg.eigh(spd)[0]]
            for g, w in zip(got, want):
                assert np.allclose(g, w)
    for task in [spawn(compute) for _ in range(3)]:
        fetch(task)
    compute()
sharing.close()
"""
    run(TWO + script)


def test_nothing_to_share_is_no_error() -> None:
    result = run_script(
        """
        import sys
        import taskrt
        from taskrt.interop import blas
        assert blas.info() == []
        with blas.share_pool():
            assert taskrt.fetch(taskrt.spawn(int)) == 0
        assert "numpy" not in sys.modules
        print(blas.statistics())
        """
    )
    assert result.stderr == ""
    assert "'gangs': 0" in result.stdout


@needs_numpy
def test_numpy_imported_later_needs_another_call() -> None:
    result = run_script(
        """
        from taskrt.interop import blas
        with blas.share_pool():
            import numpy
            before = [lib.steered for lib in blas.info() if lib.kind == "OpenBLAS"]
            assert not any(before)
            with blas.share_pool():
                for lib in blas.info():
                    assert lib.steered or lib.reason
        """
    )
    assert result.stderr == ""
