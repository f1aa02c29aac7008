"""Fibonacci numbers with a native task at every level, against plain recursion."""

import ctypes
from collections.abc import Iterator
from statistics import median

from _measure import Budget, Row, Sides, gain_row, short_time
from _native import (
    PEERS,
    SERIAL,
    TASKRT,
    Contest,
    compiled,
    hold_contest,
    missing,
)

TASK_NS = 4.0
PEERS_TASKS = 10.0  # as many of ours in the time of one of theirs


class Data(ctypes.Structure):
    """fib_data of fib.h."""

    _fields_ = [("n", ctypes.c_int64), ("result", ctypes.c_int64)]


def fibonacci(n: int) -> int:
    """Return the `n`-th Fibonacci number by adding up."""
    this, following = 0, 1
    for _ in range(n):
        this, following = following, this + following
    return this


def tasks(n: int) -> int:
    """Return how many tasks are spawned."""
    return fibonacci(n + 1) - 1


def make(size: int) -> Data:
    """Return which number is asked for."""
    return Data(size, -1)


def is_right(data: Data, size: int, _: object) -> bool:
    """Return whether it was found."""
    return bool(data.result == fibonacci(size))


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare taskrt with plain calls and with itself; then the peers, on less."""
    n, less, repeats = (32, 25, 5) if quick else (38, 30, 9)
    with compiled("native_fib") as libraries:
        own = {who: libraries[who] for who in (SERIAL, TASKRT) if who in libraries}
        found = hold_contest("native_fib", own, size=n, repeats=repeats)
        yield cost_row(found, n)
        yield found.scaling_row(f"fib({n})", None if quick else 1.9)
        found = hold_contest("native_fib", libraries, size=less, repeats=repeats)
        for who in PEERS:
            yield peer_cost_row(found, who, less)
        yield from found.peer_rows(f"fib({less})")


def costs(found: Contest, who: str, n: int) -> list[float]:
    """Return what a task costs beyond the calls that it stands for, turn by turn."""
    turns = zip(found.seconds[SERIAL, 1], found.seconds[who, 1])
    return [(ours - base) / tasks(n) for base, ours in turns]


def cost_row(found: Contest, n: int) -> Row:
    """Return the row of what a task of taskrt costs."""
    what = f"fib({n}), a task beyond serial, 1 worker"
    if (TASKRT, 1) not in found.seconds:
        return missing(what, TASKRT)
    ours = [seconds * 1e9 for seconds in costs(found, TASKRT, n)]
    return Row(
        what,
        base=short_time(median(found.seconds[SERIAL, 1]) / tasks(n)),
        ours=short_time(median(found.seconds[TASKRT, 1]) / tasks(n)),
        value=median(ours),
        unit="ns",
        budget=Budget(TASK_NS),
        note=f"{min(ours):.2f} to {max(ours):.2f}",
        samples=ours,
    )


def peer_cost_row(found: Contest, who: str, n: int) -> Row:
    """Return the row of how many times as much a task of a peer costs."""
    what = f"fib({n}), a task beyond serial, {PEERS[who]} / taskrt"
    if (who, 1) not in found.seconds:
        return missing(what, who)
    sides = Sides(base=costs(found, who, n), ours=costs(found, TASKRT, n))
    return gain_row(what, sides, PEERS_TASKS)
