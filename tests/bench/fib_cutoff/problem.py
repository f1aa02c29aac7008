"""Fibonacci numbers with a cutoff, so that a task has so much work, on two workers."""

from collections.abc import Iterator
from functools import cache
from time import perf_counter

from _measure import Row, gain_row, gil_is_on, side_by_side
from fib_levels import problem as levels
from fib_levels.serial import fib

GOLDEN = 1.618  # how much longer the next number takes


@cache
def sized(task_us: float, whole_s: float) -> tuple[int, int]:
    """Return n and the cutoff at which a task, and the whole, take that long here."""
    probe = 16
    fastest = min(timed_fib(probe) for _ in range(20))
    cutoff, seconds = probe, fastest
    while seconds < task_us / 1e6:
        cutoff, seconds = cutoff + 1, seconds * GOLDEN
    while seconds / GOLDEN >= task_us / 1e6:
        cutoff, seconds = cutoff - 1, seconds / GOLDEN
    n = cutoff
    while seconds < whole_s:
        n, seconds = n + 1, seconds * GOLDEN
    return n, cutoff


def timed_fib(n: int) -> float:
    """Return the seconds that plain recursion takes."""
    start = perf_counter()
    fib(n)
    return perf_counter() - start


def make(size: list[float]) -> tuple[int, int]:
    """Return n and the cutoff for `[microseconds a task, seconds in all]`."""
    return sized(*size)


def is_right(answer: object, size: list[float]) -> bool:
    """Return whether `answer` is the n-th Fibonacci number."""
    return levels.is_right(answer, make(size)[0])


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare two workers with plain recursion at several sizes of task."""
    whole, repeats = (0.2, 5) if quick else (0.8, 9)
    for task_us, budget in ((20, 1.0), (200, 1.8), (2000, 1.8)):
        what = f"fib, tasks of {task_us} us, serial / 2 workers"
        if gil_is_on():
            yield Row(what, note="skipped: needs an interpreter without a GIL")
            continue
        sides = side_by_side(
            "fib_cutoff",
            "with_taskrt",
            size=[task_us, whole],
            repeats=repeats,
            workers=2,
        )
        yield gain_row(what, sides, budget)
