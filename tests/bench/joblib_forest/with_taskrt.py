"""The backend "taskrt" of joblib."""

from typing import Any

from joblib import parallel_config

from joblib_forest.problem import fit
from taskrt.interop.joblib import register


def run(size: tuple[str, int, Any]) -> list[float]:
    """Fit."""
    register()
    with parallel_config("taskrt"):
        return fit(size, 2)
