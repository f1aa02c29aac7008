"""Dask's threads."""

from typing import Any

from dask.threaded import get


def run(data: tuple[dict[str, Any], str]) -> Any:
    """Compute."""
    return get(*data, num_workers=2)
