"""Nested maps of taskrt."""

from nested_map.problem import nest
from taskrt import parallel


def run(size: int) -> list[object]:
    """Map the roots."""
    return parallel.map(lambda root: nest(parallel.map, root), range(size))
