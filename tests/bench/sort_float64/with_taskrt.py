"""The psort of the examples."""

import importlib
import sys
from typing import Any

from _measure import HERE

# Where they are installed, and in the sources.
FOLDERS = (HERE.parent / "examples", HERE.parents[1] / "examples")
sys.path.append(str(next(folder for folder in FOLDERS if folder.is_dir())))
psort = importlib.import_module("psort")


def run(array: Any) -> Any:
    """Sort in place."""
    psort.psort(array, psort.grain_for(len(array)))
    return array
