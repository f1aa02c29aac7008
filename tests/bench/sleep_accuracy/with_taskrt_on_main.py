"""Main, sleeping through taskrt."""

from sleep_accuracy import with_time
from taskrt import sleep


def lateness(count: int) -> list[float]:
    """Return by how many seconds each sleep was too long."""
    return with_time.lateness(count, sleep)
