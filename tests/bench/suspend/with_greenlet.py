"""One bare greenlet, switched into and back."""

from itertools import repeat

from greenlet import getcurrent, greenlet


def run(count: int) -> int:
    """Switch into it and back so many times; return how often it came back."""
    here = getcurrent()

    def answer_all() -> None:
        back = here.switch
        while True:
            back(1)

    there = greenlet(answer_all).switch
    came_back = 0
    for _ in repeat(None, count):
        came_back += there()
    return came_back
