"""How much memory is left behind by something that is done again and again."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from support.gates import until

import taskrt

TRIES = 15


def settle() -> None:
    """Let workers drop what they still hold, and collect the rest."""
    taskrt.wait(*[taskrt.spawn(int) for _ in range(50)])
    until(lambda: not taskrt.yield_now())
    for _ in range(3):
        gc.collect()


def blocks_left_by(use: Callable[[], object], rounds: int) -> int:
    """Count the blocks of memory that are allocated after `rounds` uses, not before.

    What is kept for later use (threads' records, free lists) grows for a while and then
    stops; a leak does not. So this is the least of several tries, and the last one if
    that is hardly anything.
    """
    least = sys.maxsize
    for _ in range(TRIES):
        settle()
        before = sys.getallocatedblocks()
        for _ in range(rounds):
            use()
        settle()
        least = min(least, sys.getallocatedblocks() - before)
        if least <= rounds // 10:
            break
    return least
