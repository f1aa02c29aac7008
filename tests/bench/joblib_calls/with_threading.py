"""joblib with its backend "threading"."""

from joblib import Parallel, delayed

from joblib_calls.problem import successor


def run(items: range) -> list[int]:
    """Map the items."""
    return list(Parallel(2, backend="threading")(delayed(successor)(n) for n in items))
