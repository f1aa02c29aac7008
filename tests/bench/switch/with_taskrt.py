"""Two tasks that yield to each other, each on a stack of its own."""

from itertools import repeat

from _gate import Gate

from taskrt import fetch, spawn, yield_now


def run(times: int) -> list[int]:
    """Let each yield so many times; return how often the other then ran."""
    given: list[int] = []

    def take_turns() -> None:
        count = 0
        for _ in repeat(None, times):
            if yield_now():
                count += 1
        given.append(count)
        if len(given) == 2:
            gate.open()

    with Gate() as gate:
        both = [spawn(take_turns) for _ in range(2)]
        fetch(gate.task)  # suspends, so neither runs as a call on this stack
        for task in both:
            fetch(task)
    return given
