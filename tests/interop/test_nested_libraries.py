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

ways = [globals()[f"with_{name}"] for name in sys.argv[1:]]
most = 0

def work(depth, n):
    global most
    if depth == len(ways):
        most = max(most, count())
        return n * n
    return sum(ways[depth](lambda item: work(depth + 1, item), range(n, n + 4)))

def serial(depth, n):
    if depth == len(ways):
        return n * n
    return sum(serial(depth + 1, item) for item in range(n, n + 4))

before = count()  # with those that NumPy has
with parallel_config("taskrt"):
    for n in range(5):
        assert work(0, n) == serial(0, n)
assert most <= before + 1, (before, most)
"""

WAYS = ("joblib", "futures", "futures_map", "dask")
Order = tuple[str, ...]


@pytest.mark.parametrize(
    "order",
    [order for order in itertools.product(WAYS, repeat=3) if len(set(order)) > 1],
    ids="-".join,
)
def test_no_thread_comes_and_results_are_the_same(order: Order) -> None:
    result = run_script(SCRIPT, *order, env={"TASKRT_NUM_THREADS": "2"})
    assert result.stderr == ""
