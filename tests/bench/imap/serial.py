"""The builtin map."""

from collections.abc import Iterator

from imap.problem import successor, take


def run(items: Iterator[int]) -> int:
    """Map the items."""
    return take(map(successor, items))
