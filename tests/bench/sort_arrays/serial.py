"""NumPy's default sort, which is not stable and uses vector instructions."""

from typing import Any


def run(array: Any) -> Any:
    """Sort in place."""
    array.sort()
    return array
