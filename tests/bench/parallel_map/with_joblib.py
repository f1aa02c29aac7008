"""joblib with its threading backend, which sizes batches itself."""

from joblib import Parallel, delayed

from parallel_map.problem import successor

POOL = Parallel(2, backend="threading")


def run(items: range) -> list[int]:
    """Map the items."""
    return list(POOL(delayed(successor)(item) for item in items))
