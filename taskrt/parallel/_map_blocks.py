"""Calling a function on matching blocks of arrays."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from taskrt.parallel._arrays import (
    Array,
    DType,
    as_array,
    as_axis,
    check_apart,
    check_writable,
    cut,
    import_numpy,
    is_array,
    is_same,
    is_ufunc,
)
from taskrt.parallel._blocks import check_options, run_blocks
from taskrt.parallel._calls import check_callable
from taskrt.sync import Lock

# Bytes of a block, of all arrays and the result together, at most and at least. A block
# stays in a cache from one step of the function to the next. A quarter of it would do
# so in one nearer to the core, but each step ends with a wait for the GIL: three steps
# on 20,000,000 float64 took a fifth longer then. A function in Python is worth a call
# for less than a ufunc.
BYTES = (1 << 20, 1 << 11)
BYTES_OF_UFUNC = (1 << 19, 1 << 16)
MANY = 32  # blocks, unless these are too small


def map_blocks(
    fn: Callable[..., Any],
    *arrays: Array,
    out: Array | None = None,
    axis: int = 0,
    grain: int | None = None,
    dtype: DType | None = None,
) -> Any:
    """Call a function on matching blocks of arrays, in parallel; join its results.

    The arrays are cut at the same places along one axis. `fn` is called with views of
    one block of each, may write to them, and returns an array that has the length of
    the block along that axis, or None if it works in place. Where the arrays are cut
    depends on their shapes, their types and `grain` alone, never on the number of
    threads; so does the result, if `fn` gives the same for the same block.

    fn      called as fn(*blocks) on several threads at once; it should spend its time
            in NumPy, or in what else releases the GIL, unless there is none. Of a ufunc
            the results go to their place without a copy
    arrays  one at least, all of one length along the axis. What is no array, or has no
            dimensions, is handed to each call as it is; an array that each call is to
            get whole is bound with `functools.partial`
    out     where the results go: an array of the shape that they have together; of
            another type, if NumPy casts to it as "same_kind". It may be one of the
            arrays, but not overlap one in another way. None: a new one
    axis    the axis to cut along; of results with fewer axes it must still be one
    grain   indices in a block, 1 or more; None: blocks of about 1 MiB (of a ufunc, a
            half), but at least 32 of them, unless they would be smaller than 2 KiB
            (64). If fn takes long for each index, ask for 1
    dtype   the type of a new array; None: that of the first result

    Returns `out`, a new array, or None if all calls have returned None. Raises
    ModuleNotFoundError without NumPy, its AxisError if an array has no such axis;
    TypeError if there is no array, if both `out` and `dtype` are given, or if a result
    is neither an array nor None, or cannot be cast to the type of the others;
    ValueError if the arrays differ in length along the axis, if a result has not the
    shape of the block or of the others, or `out` is of no use; and the error of fn, of
    the first block that failed, itself: no call is running any more then, and `out` is
    unfinished. A suspension point, and a checkpoint before each call; any thread.

    >>> import numpy as np
    >>> from taskrt import parallel
    >>> parallel.map_blocks(np.sqrt, np.array([1.0, 4.0, 9.0]))
    array([1., 2., 3.])
    """
    check_callable("map_blocks()", fn)
    grain = check_options("map_blocks()", grain, "auto")
    if out is not None and dtype is not None:
        raise TypeError("map_blocks(): give out or dtype, not both: out has its dtype")
    cuts = _Cuts(arrays, axis)
    results = _Results(axis, cuts.length, dtype)
    if out is not None:
        results.use(out, cuts.arrays)
    by_ufunc = is_ufunc(fn) and _gives_one_item(fn)
    if by_ufunc:
        results.prepare(fn(*cuts.block(0, 0)))
    size = grain or cuts.block_length(*(BYTES_OF_UFUNC if by_ufunc else BYTES))

    def call_some(first: int, last: int) -> None:
        for k in range(first, last):
            low, high = k * size, min((k + 1) * size, cuts.length)
            if by_ufunc:
                fn(*cuts.block(low, high), out=results.place(low, high))
            else:
                results.put(low, high, fn(*cuts.block(low, high)))

    # Also of nothing there is a result, of a type that only the function knows.
    run_blocks(max(1, -(-cuts.length // size)), call_some, grain=1)
    return results.array if out is None else out


def _gives_one_item(ufunc: Any) -> bool:
    return bool(ufunc.nout == 1 and ufunc.signature is None)


class _Cuts:
    """The arguments of all calls, and where to cut them."""

    def __init__(self, args: tuple[Any, ...], axis: int) -> None:
        import_numpy("map_blocks()")
        self.args = args
        # Of each argument the axis to cut along, or None.
        self.axes = [
            as_axis(axis, arg) if is_array(arg) and arg.ndim else None for arg in args
        ]
        pairs = [(x, k) for x, k in zip(args, self.axes) if k is not None]
        self.arrays = [x for x, _ in pairs]
        if not pairs:
            found = ", ".join(repr(type(arg).__name__) for arg in args) or "nothing"
            raise TypeError(
                "map_blocks(): give an array that has a dimension to cut along, after "
                f"the function; there is {found}"
            )
        self.length = int(pairs[0][0].shape[pairs[0][1]])
        if any(x.shape[k] != self.length for x, k in pairs):
            shapes = ", ".join(str(x.shape) for x in self.arrays)
            raise ValueError(
                f"map_blocks(): the arrays must have one length along axis {axis}, and "
                f"their shapes are {shapes}; bind an array that each call is to get "
                "whole with functools.partial"
            )

    def block(self, low: int, high: int) -> list[Any]:
        """Return the arguments of one call."""
        return [
            arg if along is None else arg[cut(along, low, high)]
            for arg, along in zip(self.args, self.axes)
        ]

    def block_length(self, most_bytes: int, least_bytes: int) -> int:
        """Return how many indices to hand to one call."""
        # The result is as large as the largest of them, for all we know.
        sizes = [int(x.nbytes) for x in self.arrays]
        each = max(1, (sum(sizes) + max(sizes)) // max(1, self.length))
        fair = max(least_bytes // each, -(-self.length // MANY))
        return max(1, min(most_bytes // each, fair))


class _Results:
    """Where the results go; the first one decides what the others have to be like."""

    def __init__(self, axis: int, length: int, dtype: DType | None) -> None:
        numpy = import_module("numpy")
        self.copyto = numpy.copyto
        self.empty = numpy.empty
        self.axis = axis
        self.length = length
        self.dtype = None if dtype is None else numpy.dtype(dtype)  # if asked for
        self.array: Array | None = None
        self.nothing = False  # whether a call has returned None
        # Of the two. A finalizer may suspend the task that holds it.
        self.lock = Lock()

    def use(self, out: Any, arrays: list[Array]) -> None:
        """Let the results go to an array of the caller's."""
        check_writable("map_blocks()", out)
        if out.shape[as_axis(self.axis, out)] != self.length:
            raise ValueError(
                f"map_blocks(): out has the shape {out.shape}, and the arrays have the "
                f"length {self.length} along axis {self.axis}"
            )
        for k, x in enumerate(arrays):
            if not (x.dtype == out.dtype and is_same(x, out)):
                check_apart("map_blocks()", out, f"array {k}", x)
        self.array = import_module("numpy").asarray(out)
        self.dtype = out.dtype

    def place(self, low: int, high: int) -> Array:
        """Return where the result of one block goes, once there is a place."""
        assert self.array is not None
        return self.array[cut(as_axis(self.axis, self.array), low, high)]

    def prepare(self, example: Array) -> None:
        """Make a place, or check that there is one, for results like this block's."""
        along = as_axis(self.axis, example)
        shape = (*example.shape[:along], self.length, *example.shape[along + 1 :])
        if self.array is None:
            self.array = self.empty(shape, self.dtype or example.dtype)
        elif self.array.shape != shape:
            raise ValueError(
                f"map_blocks(): the results together have the shape {shape}, by one of "
                f"them, and their place has {self.array.shape}"
            )

    def put(self, low: int, high: int, result: Any) -> None:
        """Put the result of one block in its place."""
        if result is not None:
            self.check(low, high, result)
        with self.lock:
            if result is None and self.array is None:
                self.nothing = True
                return
            if result is None or self.nothing:
                raise TypeError(
                    "map_blocks(): the function has returned None for one block, and "
                    "there is an array for the results of the others"
                )
            self.prepare(result)
        place = self.place(low, high)
        if self.dtype is None and result.dtype != place.dtype:
            raise TypeError(
                f"map_blocks(): the function has returned {result.dtype} for one "
                f"block, and {place.dtype} for another; give a dtype for all"
            )
        self.copyto(place, result, casting="same_kind")

    def check(self, low: int, high: int, result: Any) -> None:
        """Raise what is wrong with a result by itself."""
        if not is_array(result):
            raise TypeError(
                "map_blocks(): the function must return an array or None, and has "
                f"returned {type(result).__name__!r}"
            )
        as_array("map_blocks()", "a result", result)
        axes = result.ndim
        if not -axes <= self.axis < axes or result.shape[self.axis] != high - low:
            raise ValueError(
                f"map_blocks(): the function has returned an array of shape "
                f"{result.shape} for a block of length {high - low} along axis "
                f"{self.axis}"
            )
