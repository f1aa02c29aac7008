"""joblib with the backend "taskrt"."""

from joblib import Parallel, delayed

from joblib_calls.problem import successor
from taskrt.interop.joblib import register


def run(items: range) -> list[int]:
    """Map the items."""
    register()
    return list(Parallel(2, backend="taskrt")(delayed(successor)(n) for n in items))
