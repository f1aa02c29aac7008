"""Bare greenlets, each suspended in the same function."""

from _measure import WrongAnswerError, rss_bytes
from greenlet import getcurrent, greenlet

from memory_suspended.body import body


def bytes_each(count: int) -> float:
    """Return how much the process grows per greenlet; each is then resumed."""
    suspend = getcurrent().switch
    greenlets: list[greenlet | None] = [None] * count
    greenlet(body).switch(suspend, None)
    before = rss_bytes()
    for i in range(count):
        greenlets[i] = one = greenlet(body)
        one.switch(suspend, i)
    grown = rss_bytes() - before
    if sum(one.switch(1) for one in greenlets if one) != count:
        raise WrongAnswerError("a greenlet was lost")
    return grown / count
