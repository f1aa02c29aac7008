"""The algorithms on arrays of taskrt."""

from typing import Any

import numpy as np

from array_algorithms.problem import steps
from taskrt import parallel

RUN = {
    "sum": lambda array: parallel.reduce(np.add, array),
    "max": lambda array: parallel.reduce(np.maximum, array),
    "cumsum": parallel.cumsum,
    "map_sin": lambda array: parallel.map_blocks(np.sin, array),
    "map_steps": lambda array: parallel.map_blocks(steps, array),
    "merge": lambda runs: parallel.merge(*runs),
    "sort": parallel.sort,
    "argsort": parallel.argsort,
}


def run(job: tuple[str, Any]) -> Any:
    """Do what `job` says with its array."""
    what, array = job
    return (RUN.get(what) or RUN[what.partition("_")[0]])(array)
