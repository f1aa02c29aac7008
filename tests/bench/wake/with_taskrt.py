"""Wake a sleeping worker by a spawn, and in turn a bare thread by a futex.

Before and after each wake the caller is busy without the GIL, as a thread that computes
in C is, so the woken thread competes with it for nothing but the other core.
"""

import ctypes
from time import perf_counter, perf_counter_ns
from zlib import crc32

from taskrt import fetch, spawn

BUSY_S = 0.002


def take_turns(library: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds from call to wake, of a futex (base) and of a spawn (ours)."""
    futex = ctypes.CDLL(library)
    futex.sleeper_latency_ns.restype = ctypes.c_int64
    if futex.sleeper_start() != 0:
        raise OSError("no thread for the futex")
    busy = bytes(size_for(BUSY_S))
    fetch(spawn(crc32, busy))
    found: dict[str, list[float]] = {"base": [], "ours": []}
    for _ in range(rounds):
        crc32(busy)
        futex.sleeper_wake()
        crc32(busy)
        found["base"].append(futex.sleeper_latency_ns() / 1e9)

        crc32(busy)
        called = perf_counter_ns()
        task = spawn(perf_counter_ns)
        crc32(busy)
        found["ours"].append((fetch(task) - called) / 1e9)
    return found


def size_for(seconds: float) -> int:
    """Return how many bytes take that long to check."""
    size = 1 << 24
    block = bytes(size)
    start = perf_counter()
    crc32(block)
    return int(size * seconds / (perf_counter() - start))
