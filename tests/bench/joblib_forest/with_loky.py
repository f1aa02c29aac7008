"""The backend "loky" of joblib."""

from typing import Any

from joblib import parallel_config

from joblib_forest.problem import fit


def run(size: tuple[str, int, Any]) -> list[float]:
    """Fit."""
    with parallel_config("loky"):
        return fit(size, 2)
