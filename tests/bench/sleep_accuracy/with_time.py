"""The system's sleep."""

import time
from collections.abc import Callable

from _measure import WrongAnswerError

from sleep_accuracy.lengths import lengths


def lateness(count: int, sleep: Callable[[float], object] = time.sleep) -> list[float]:
    """Return by how many seconds each sleep was too long."""
    late = []
    for seconds in lengths(count):
        start = time.perf_counter()
        sleep(seconds)
        late.append(time.perf_counter() - start - seconds)
    if min(late) < 0:
        raise WrongAnswerError(f"a sleep ended {-min(late)} s early")
    return late
