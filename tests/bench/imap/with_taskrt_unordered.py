"""A lazy map, in any order."""

from collections.abc import Iterator

from imap.problem import successor, take
from taskrt import parallel


def run(items: Iterator[int]) -> int:
    """Map the items."""
    return take(parallel.imap(successor, items, ordered=False))
