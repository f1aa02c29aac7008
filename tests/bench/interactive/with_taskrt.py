"""Spawn a task of each pool while every thread of the default one computes."""

from time import perf_counter, perf_counter_ns
from zlib import crc32

from taskrt import Spawner, fetch, fetch_all, num_threads, spawn

BUSY_S = 0.01

interactive = Spawner(pool="interactive")


def start(rounds: int) -> dict[str, list[float]]:
    """Return the seconds from spawn to start, for tasks of both pools."""
    busy = bytes(size_for(BUSY_S))
    fetch(interactive(int))
    found: dict[str, list[float]] = {"interactive": [], "default": []}
    for _ in range(rounds):
        # More computations than there are other threads, and one here.
        computing = [spawn(crc32, busy) for _ in range(3 * (num_threads() - 1))]
        crc32(busy[: len(busy) // 4])
        called = perf_counter_ns()
        soon, later = interactive(perf_counter_ns), spawn(perf_counter_ns)
        crc32(busy)
        found["default"].append((fetch(later) - called) / 1e9)
        found["interactive"].append((fetch(soon) - called) / 1e9)
        fetch_all(computing)
    return found


def size_for(seconds: float) -> int:
    """Return how many bytes take that long to check."""
    size = 1 << 24
    block = bytes(size)
    begun = perf_counter()
    crc32(block)
    return int(size * seconds / (perf_counter() - begun))
