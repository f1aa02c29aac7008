"""The standard library's pool of threads, a hundred items at a time."""

from collections.abc import Iterator
from multiprocessing.pool import ThreadPool

from imap.problem import successor, take


def run(items: Iterator[int]) -> int:
    """Map the items."""
    with ThreadPool(2) as pool:
        return take(pool.imap(successor, items, chunksize=100))
