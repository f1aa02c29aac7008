"""Libraries that know nothing of each other, nested, on one pool.

One uses joblib, one `concurrent.futures`, one Dask: each calls the next, three deep.
"""

from __future__ import annotations

import itertools

import pytest
from support.child import run_script

pytest.importorskip("joblib", reason="joblib is not installed")
pytest.importorskip("dask", reason="Dask is not installed")

pytestmark = pytest.mark.isolated

SCRIPT = """
import os, sys
import taskrt
import dask.local
from joblib import Parallel, delayed, parallel_config
from taskrt.interop.dask import get
from taskrt.interop.futures import TaskExecutor
from taskrt.interop.joblib import register

register()
count = lambda: len(os.listdir("/proc/self/task"))

def with_joblib(fn, items):
    return Parallel(n_jobs=2, batch_size=1)(delayed(fn)(item) for item in items)

def with_futures(fn, items):
    with TaskExecutor(2) as executor:
        futures = [executor.submit(fn, item) for item in items]
        return [future.result() for future in futures]

def with_futures_map(fn, items):
    with TaskExecutor(2) as executor:
        return list(executor.map(fn, items))

def with_dask(fn, items):
    graph = {f"{n}": (fn, item) for n, item in enumerate(items)}
    return list(get(graph, list(graph), num_workers=2))

most = 0

def work(ways, n):
    global most
    if not ways:
        most = max(most, count())
        return n * n
    call = globals()[f"with_{ways[0]}"]
    return sum(call(lambda item: work(ways[1:], item), range(n, n + 4)))

def serial(depth, n):
    if depth == 0:
        return n * n
    return sum(serial(depth - 1, item) for item in range(n, n + 4))

before = count()  # main's, and those that NumPy has
with parallel_config("taskrt"):
    for order in sys.argv[1:]:
        for n in range(5):
            assert work(order.split("-"), n) == serial(3, n), order
# An executor's calls run also while main does something else: a thread more than that
# of the pool, in place of main.
assert most <= before + taskrt.num_threads(), (before, most)
"""

ORDERS = [
    *map("-".join, itertools.permutations(("joblib", "futures", "dask"))),
    "joblib-futures_map-joblib",
    "futures_map-joblib-futures",
    "dask-joblib-futures_map",
]


@pytest.mark.parametrize("threads", ["2", "4"])
def test_no_thread_comes_and_results_are_the_same(threads: str) -> None:
    result = run_script(SCRIPT, *ORDERS, env={"TASKRT_NUM_THREADS": threads})
    assert result.stderr == ""
