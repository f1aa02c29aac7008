"""NumPy's stable sort."""

from typing import Any


def run(array: Any) -> Any:
    """Sort in place."""
    array.sort(kind="stable")
    return array
