"""The scheduler of taskrt."""

from typing import Any

from taskrt.interop.dask import get


def run(data: tuple[dict[str, Any], str]) -> Any:
    """Compute."""
    return get(*data, num_workers=2)
