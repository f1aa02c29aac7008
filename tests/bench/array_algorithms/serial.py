"""NumPy, with one thread."""

from typing import Any

import numpy as np

from array_algorithms.problem import steps

RUN = {
    "sum": np.sum,
    "max": np.max,
    "cumsum": np.cumsum,
    "map_sin": np.sin,
    "map_steps": steps,
    # A stable sort finds two runs, and merges them; there is no merge in NumPy.
    "merge": lambda runs: np.sort(np.concatenate(runs), kind="stable"),
    "sort": np.sort,
    "argsort": lambda array: np.argsort(array, kind="stable"),
}


def run(job: tuple[str, Any]) -> Any:
    """Do what `job` says with its array."""
    what, array = job
    return (RUN.get(what) or RUN[what.partition("_")[0]])(array)
