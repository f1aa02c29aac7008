"""A task each, and BLAS without threads of its own."""

from typing import Any

import taskrt
from blas_matmul.problem import blas_threads


def run(data: tuple[int, Any]) -> list[Any]:
    """Multiply."""
    count, a = data
    with blas_threads(1):
        tasks = [taskrt.spawn(a.__matmul__, a) for _ in range(count)]
        return [taskrt.fetch(task) for task in tasks]
