"""A scheduler for Dask collections: their graphs run on the pool, with everything else.

>>> import dask.bag
>>> from taskrt.interop.dask import get
>>> numbers = dask.bag.from_sequence(range(5), npartitions=3)
>>> numbers.map(pow, 2).compute(scheduler=get)
[0, 1, 4, 9, 16]
"""

import threading
from collections.abc import Callable
from sys import exc_info
from typing import Any

from taskrt import _core
from taskrt._core import Task
from taskrt.parallel._window import is_alone

__all__ = ["get"]


def get(
    dsk: Any,
    keys: Any,
    *,
    cache: Any = None,
    num_workers: int | None = None,
    pool: None = None,
    **kwargs: Any,
) -> Any:
    """Compute these keys of a graph; the ``scheduler`` of Dask's ``compute``.

    dsk          the graph, a mapping or what makes one
    keys         a key, or a list of keys, nested or not
    cache        where results are kept while they are needed; None: a dict
    num_workers  how many of its tasks run at a time, 1 or more; None: what Dask's
                 configuration says, and otherwise a task for each thread of the pool
    pool         None: there is but one
    kwargs       those of `dask.local.get_async`, which decides what comes next

    For one call ``x.compute(scheduler=get)``, for all of them
    ``dask.config.set(scheduler=get)``. Callbacks, progress bars and profilers of Dask
    work as they do with its threads, ``chunksize`` too. Tasks of the graph see a copy
    of the present context variables, and may compute graphs themselves.

    The first error of a task is raised, itself; before that the rest is cancelled and
    waited for, as it is if the caller is cancelled or interrupted. Raises ImportError
    without Dask, ValueError and TypeError for wrong arguments. A suspension point and a
    checkpoint; any thread.
    """
    try:
        from dask import config
        from dask.local import get_async
    except ImportError as error:
        raise ImportError(
            "taskrt.interop.dask.get() needs Dask: pip install 'taskrt[dask]'"
        ) from error
    if pool is not None:
        raise TypeError(
            "taskrt.interop.dask.get() runs tasks on taskrt's pool and takes no other: "
            "leave out pool, or use scheduler='threads'"
        )
    if num_workers is None:
        num_workers = config.get("num_workers", None)
    if num_workers is None:
        num_workers = _core.num_threads()
    if num_workers < 1:
        raise ValueError(f"num_workers must be 1 or more, not {num_workers}")
    family = _core._Family()
    with family:
        tickets = _Tickets(family)
        return get_async(
            tickets.submit,
            num_workers,
            dsk,
            keys,
            cache=cache,
            get_id=threading.get_ident,
            pack_exception=_pack_error,
            **kwargs,
        )


def _pack_error(error: BaseException, _: object) -> tuple[BaseException, Any]:
    return error, exc_info()[2]


class _Tickets:
    """What Dask takes for an executor's futures: each is good for one that has ended.

    Dask takes finished futures out of a queue, and waits there by blocking its thread.
    So it gets a ticket into the queue at once for each task, and waits by asking for
    the ticket's result: that of whichever task ends next, which carries its name.
    """

    def __init__(self, family: _core._Family) -> None:
        self._family = family
        self._live: dict[Task[Any], None] = {}
        self._ended: _core._Arrivals[Any] = _core._Arrivals(None)

    def submit(self, fn: Callable[..., Any], *args: Any) -> "_Tickets":
        task = self._family._adopt(fn, *args)
        self._live[task] = None
        self._ended._add(task)
        return self

    def add_done_callback(self, put: Callable[["_Tickets"], object]) -> None:
        put(self)

    def result(self) -> Any:
        if is_alone():
            _core.wait(next(iter(self._live)))  # which may run it here
        task = next(self._ended)
        del self._live[task]
        return _core.fetch(task)
