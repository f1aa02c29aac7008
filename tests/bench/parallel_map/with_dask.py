"""A bag of Dask with its threads, in the 100 partitions that it makes by itself."""

import dask
import dask.bag

from parallel_map.problem import successor


def run(items: range) -> list[int]:
    """Map the items."""
    bag = dask.bag.from_sequence(items).map(successor)
    with dask.config.set(scheduler="threads", num_workers=2):
        return list(bag.compute())
