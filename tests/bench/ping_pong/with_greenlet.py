"""Two bare greenlets that hand a value to each other."""

from itertools import repeat

from greenlet import getcurrent, greenlet


def run(times: int) -> int:
    """Send a value there and back so many times; return how often it came."""
    here = getcurrent()

    def pong(value: object) -> None:
        switch = here.switch
        while value is not None:
            value = switch(value)

    count = 0
    switch = greenlet(pong).switch
    for _ in repeat(None, times):
        if switch(1):
            count += 1
    switch(None)
    return count
