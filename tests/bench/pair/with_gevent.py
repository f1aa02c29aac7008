"""The call in a greenlet of gevent, whose value is awaited at once."""

import gevent

from pair.problem import UNROLLED, empty


def run(loop: range) -> int:
    """Spawn it and wait."""
    answer = 0
    for _ in range(len(loop) * UNROLLED):
        answer = gevent.spawn(empty).get()
    return answer
