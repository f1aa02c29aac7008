"""The psort of the examples."""

import importlib
import sys
from typing import Any

from _measure import HERE

# In the sources, and where they are installed.
FOLDERS = (HERE.parents[1] / "examples", HERE.parent / "examples")
sys.path.append(str(next(folder for folder in FOLDERS if folder.is_dir())))
psort = importlib.import_module("psort")


def run(array: Any) -> Any:
    """Sort in place."""
    psort.psort(array, psort.grain_for(len(array)))
    return array
