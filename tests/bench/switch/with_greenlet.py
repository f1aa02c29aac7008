"""Two bare greenlets that switch to each other."""

from functools import partial
from itertools import repeat

from greenlet import greenlet


def run(times: int) -> list[int]:
    """Let each give way so many times; return how often the other then ran."""
    given: list[int] = []

    def take_turns(partner: int) -> None:
        switch = both[partner].switch
        count = 0
        for _ in repeat(None, times):
            if not switch():  # nobody sends a value
                count += 1
        given.append(count)
        if not both[partner].dead:
            switch()

    both = [greenlet(partial(take_turns, partner)) for partner in (1, 0)]
    both[0].switch()
    return given
