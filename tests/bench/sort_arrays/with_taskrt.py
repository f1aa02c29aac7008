"""The sort of the kernels, which is stable."""

from typing import Any

from taskrt import _kernels


def run(array: Any) -> Any:
    """Sort in place."""
    _kernels.sort(array)
    return array
