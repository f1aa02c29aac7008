"""Products of NumPy matrices at once, on taskrt's pool and on OpenBLAS's."""

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from _measure import Budget, Row, call_in_child, cost_row, is_installed, side_by_side

# Best of the two ways that there are without taskrt, and how they are called.
BASES = (
    ("one_thread_each", "one BLAS thread each"),
    ("one_after_another", "all BLAS threads, in turn"),
)


@cache
def matrix(n: int) -> Any:
    """Return an n x n matrix."""
    import numpy as np

    return np.random.default_rng(1).standard_normal((n, n))


@cache
def product(n: int) -> Any:
    """Return its square."""
    return matrix(n) @ matrix(n)


def make(size: list[int]) -> Any:
    """Return how many products, and of what."""
    count, n = size
    return count, matrix(n)


def is_right(answer: Any, size: list[int]) -> bool:
    """Return whether each product is right, but for the order of sums."""
    import numpy as np

    count, n = size
    return len(answer) == count and all(np.allclose(a, product(n)) for a in answer)


@contextlib.contextmanager
def blas_threads(number: int) -> Iterator[None]:
    """Give NumPy's OpenBLAS so many threads meanwhile."""
    from taskrt.interop._blas_libraries import OpenBlas, find_loaded

    libraries = [found for found in find_loaded() if isinstance(found, OpenBlas)]
    before = [library.threads() for library in libraries]
    try:
        for library in libraries:
            library.functions.find("openblas_set_num_threads")(number)
        yield
    finally:
        for library, old in zip(libraries, before, strict=True):
            library.functions.find("openblas_set_num_threads")(old)


def count_threads(count: int, n: int) -> dict[str, int]:
    """Return how many threads there are while products are made, beside the workers."""
    import taskrt
    from taskrt.interop import blas

    square = matrix(n)
    taskrt.fetch(taskrt.spawn(int))
    tasks = Path("/proc/self/task")
    with blas.share_pool():
        taskrt.fetch(taskrt.spawn(square.sum))
        before = most = len(os.listdir(tasks))
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.002):
                most = max(most, len(os.listdir(tasks)) - 1)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for _ in range(5):
            for task in [taskrt.spawn(square.__matmul__, square) for _ in range(count)]:
                taskrt.fetch(task)
        done.set()
        watcher.join()
        counts = blas.statistics()
        return {
            "more": most - before,
            "gangs": counts["gangs"],
            "helper_jobs": counts["helper_jobs"],
        }


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with each of the two ways; count threads."""
    n, repeats = (1000, 5) if quick else (2000, 9)
    for count in (4, 1):
        what = f"{count} product{'s' * (count > 1)} of {n} x {n}"
        if not is_installed("numpy"):
            yield Row(what, note="skipped: numpy is not installed")
            continue
        for base, how in BASES:
            sides = side_by_side(
                "blas_matmul",
                "with_taskrt",
                base=base,
                size=[count, n],
                repeats=repeats,
                workers=2,
            )
            yield cost_row(f"{what} / {how}", sides, None if quick else 1.05)
        if Path("/proc/self/task").is_dir():
            found = call_in_child(
                "blas_matmul.problem:count_threads", 2, 600.0, count, n
            )
            yield Row(
                f"{what}: threads that come",
                value=found["more"],
                unit="",
                budget=Budget(0),
                note=f"{found['gangs']} gangs, {found['helper_jobs']} jobs of helpers",
            )
