"""Fibonacci numbers with a task at every level, against plain recursion."""

from collections.abc import Iterator
from statistics import median
from subprocess import TimeoutExpired

from _measure import (
    Row,
    Sides,
    cost_row,
    gain_row,
    gil_is_on,
    is_installed,
    side_by_side,
)

PEERS = {
    "with_executor": ("ThreadPoolExecutor", "concurrent.futures"),
    "with_gevent": ("gevent", "gevent"),
    "with_asyncio": ("asyncio", "asyncio"),
}


def make(size: int) -> int:
    """Return which Fibonacci number to compute."""
    return size


def is_right(answer: object, size: int) -> bool:
    """Return whether `answer` is that number, by adding up."""
    this, following = 0, 1
    for _ in range(size):
        this, following = following, this + following
    return answer == this


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare one worker with plain calls, two workers with one, and the peers."""
    n, repeats = (21, 5) if quick else (25, 9)
    ours = "with_taskrt"
    sides = side_by_side("fib_levels", ours, size=n, repeats=repeats)
    yield cost_row(f"fib({n}) every level, 1 worker / serial", sides, 2.5)

    what = f"fib({n}) every level, 2 workers / 1 worker"
    turns = workers_in_turn(n, 3 if quick else 7)
    if gil_is_on():
        yield cost_row(what, turns, 1.15)
    else:
        yield gain_row(
            what.replace("2 workers / 1 worker", "1 / 2 workers"), turns, None
        )
    if not quick:
        yield from peer_rows(18)


def workers_in_turn(n: int, turns: int) -> Sides:
    """Time one worker (the base) and two, each time in a process of its own."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(turns):
        for workers, found in times.items():
            sides = side_by_side(
                "fib_levels", "with_taskrt", size=n, repeats=3, workers=workers
            )
            found.append(median(sides.ours))
    return Sides(base=times[1], ours=times[2])


def peer_rows(n: int) -> Iterator[Row]:
    """Compare taskrt and its peers with plain calls, at two workers."""
    sides = side_by_side("fib_levels", "with_taskrt", size=n, repeats=5, workers=2)
    yield cost_row(f"fib({n}), taskrt, 2 workers / serial", sides, None)
    for ours, (name, module) in PEERS.items():
        what = f"fib({n}), {name} / serial"
        if not is_installed(module):
            yield Row(what, note=f"skipped: {module} is not installed")
            continue
        try:
            sides = side_by_side("fib_levels", ours, size=n, repeats=3, seconds=10)
        except TimeoutExpired:
            yield Row(what, note="deadlock: stopped after 10 s")
        else:
            yield cost_row(what, sides, None)
