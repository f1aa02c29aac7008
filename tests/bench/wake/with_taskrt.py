"""Wake a sleeper by a futex, by a lock and by a spawn, in turn.

Before and after each wake the caller is busy without the GIL, as a thread that computes
in C is, so the woken thread competes with it for nothing but the other core.
"""

import ctypes
import threading
from time import perf_counter, perf_counter_ns
from zlib import crc32

from taskrt import fetch, spawn

BUSY_S = 0.002


def take_turns(library: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds from call to wake of a bare thread, a Python one, a worker."""
    futex = ctypes.CDLL(library)
    futex.sleeper_latency_ns.restype = ctypes.c_int64
    if futex.sleeper_start() != 0:
        raise OSError("no thread for the futex")
    sleeper = LockSleeper()
    busy = bytes(size_for(BUSY_S))
    fetch(spawn(crc32, busy))
    found: dict[str, list[float]] = {"futex": [], "lock": [], "taskrt": []}
    for _ in range(rounds):
        crc32(busy)
        futex.sleeper_wake()
        crc32(busy)
        found["futex"].append(futex.sleeper_latency_ns() / 1e9)

        crc32(busy)
        called = perf_counter_ns()
        sleeper.wake()
        crc32(busy)
        found["lock"].append((sleeper.woken_ns() - called) / 1e9)

        crc32(busy)
        called = perf_counter_ns()
        task = spawn(perf_counter_ns)
        crc32(busy)
        found["taskrt"].append((fetch(task) - called) / 1e9)
    return found


class LockSleeper:
    """A Python thread that sleeps on a lock and notes when it has woken."""

    def __init__(self) -> None:
        self._asleep = threading.Lock()
        self._asleep.acquire()
        self._noted = threading.Semaphore(0)
        self._woken_ns = 0
        threading.Thread(target=self._run, daemon=True).start()

    def wake(self) -> None:
        """Wake it and return at once."""
        self._asleep.release()

    def woken_ns(self) -> int:
        """Wait until it has woken; return when that was."""
        self._noted.acquire()
        return self._woken_ns

    def _run(self) -> None:
        while self._asleep.acquire():
            self._woken_ns = perf_counter_ns()
            self._noted.release()


def size_for(seconds: float) -> int:
    """Return how many bytes take that long to check."""
    size = 1 << 24
    block = bytes(size)
    start = perf_counter()
    crc32(block)
    return int(size * seconds / (perf_counter() - start))
