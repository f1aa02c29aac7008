"""A task each, and BLAS on the pool."""

from typing import Any

import taskrt
from taskrt.interop import blas


def run(data: tuple[int, Any]) -> list[Any]:
    """Multiply."""
    count, a = data
    with blas.share_pool():
        tasks = [taskrt.spawn(a.__matmul__, a) for _ in range(count)]
        return [taskrt.fetch(task) for task in tasks]
