"""No tasks, and BLAS with as many threads as there are workers."""

from typing import Any

import taskrt
from blas_matmul.problem import blas_threads


def run(data: tuple[int, Any]) -> list[Any]:
    """Multiply."""
    count, a = data
    with blas_threads(taskrt.num_threads()):
        return [a @ a for _ in range(count)]
