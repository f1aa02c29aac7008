"""Running sums along an axis, in parallel and the same on any threads."""

from importlib import import_module
from math import prod

from taskrt.parallel._arrays import (
    Array,
    DType,
    as_array,
    as_axis,
    check_apart,
    check_out,
    cut,
    is_same,
    is_scalar_axis,
    longest_axis,
    rows_of_block,
)
from taskrt.parallel._blocks import run_blocks
from taskrt.sync import Lock

# Items of a block. Where numbers are rounded depends on it.
BLOCK = 1 << 15
MANY = 32  # rows that are added up each by one thread
FEW = 4  # of these at a time, at least, where they lie across each other in memory


def cumsum(
    a: Array,
    axis: int | None = None,
    *,
    dtype: DType | None = None,
    out: Array | None = None,
) -> Array:
    """Return the running sums of an array along an axis.

    Integers, and all that is exact, give what `numpy.cumsum` gives. Floating-point
    numbers are added up in blocks of 32,768 items: a sum within the block, to which the
    sum of the blocks before it is added. So the result is the same, to the last bit, on
    any number of threads; from the second block on it is rounded at other places than
    that of NumPy, which adds up one after the other, and is as a rule nearer to the
    exact sums. Running sums of numbers that are not negative never decrease. Where the
    other axes have 32 items or more, they are what is cut, and all is as in NumPy.

    a      an array, or what `numpy.asarray` makes one of
    axis   the axis along which to add up; None: all items, as if they were in one row
    dtype  the type in which to add up, and of the result; None: that of `a`, but of
           integers not less than `numpy.intp`, as in NumPy
    out    where the result is to go: an array of its shape and type, which is `a`
           itself or does not overlap it; None: a new one

    Returns `out`, or a new array of the shape of `a`; of one dimension if `axis` is
    None. Raises ModuleNotFoundError without NumPy, its AxisError if there is no such
    axis; TypeError if items of this type cannot be added, or `out` has another type;
    ValueError if `out` has another shape, overlaps `a` or is read-only. Long arrays are
    a suspension point and a checkpoint; one that fails or is cancelled leaves `out`
    unfinished. Any thread.

    >>> import numpy as np
    >>> from taskrt import parallel
    >>> parallel.cumsum(np.array([1, 2, 3, 4]))
    array([ 1,  3,  6, 10])
    """
    array = as_array("cumsum()", "a", a)
    if axis is None or is_scalar_axis(axis, array):
        array, axis = array.reshape(-1), 0
    axis = as_axis(axis, array)
    numpy = import_module("numpy")
    found = numpy.cumsum(array[cut(axis, 0, 0)], axis=axis, dtype=dtype).dtype
    if out is None:
        target = numpy.empty(array.shape, found)
    else:
        check_out("cumsum()", out, array.shape, found)
        if not (array.dtype == found and is_same(array, out)):
            check_apart("cumsum()", out, "a", array)
        target = numpy.asarray(out)
    source, total = numpy.moveaxis(array, axis, -1), numpy.moveaxis(target, axis, -1)
    _accumulate(source, total)
    return target if out is None else out


def _accumulate(source: Array, target: Array) -> None:
    """Add up along the last axis: row by row, or if there are few rows, in blocks."""
    length, outer = source.shape[-1], source.shape[:-1]
    size = max(1, BLOCK // max(1, prod(outer)))
    if target.dtype.hasobject or source.size <= BLOCK or length <= 1:
        _add_up(source, target)
    elif outer and max(outer) >= MANY:
        axis = longest_axis(outer)

        def accumulate_rows(low: int, high: int) -> None:
            here = cut(axis, low, high)
            _add_up(source[here], target[here])

        grain = max(FEW, rows_of_block(source, axis))
        run_blocks(source.shape[axis], accumulate_rows, grain=grain)
    else:
        _Blocks(source, target, size).accumulate()


def _add_up(source: Array, target: Array) -> None:
    """Add up along the last axis, on this thread."""
    # Of spans of time a ufunc is told the type by `out` alone.
    dtype = None if target.dtype.kind == "m" else target.dtype
    import_module("numpy").add.accumulate(source, axis=-1, out=target, dtype=dtype)


class _Blocks:
    """Blocks along the last axis, each of which is added up by itself.

    They are taken in order. If the sum of all before one is known when it has been
    added up, that is added at once, while the block is still in the cache, and if not,
    at the end.
    """

    def __init__(self, source: Array, target: Array, size: int) -> None:
        numpy = import_module("numpy")
        self.add = numpy.add
        self.source = source
        self.target = target
        self.size = size
        self.blocks = -(-source.shape[-1] // size)
        # Item k: of block k alone, while it is not known; then of all up to it.
        self.sums = numpy.empty((*source.shape[:-1], self.blocks), target.dtype)
        # Of what follows, and of sums. A finalizer may suspend the task that holds it.
        self.lock = Lock()
        self.ready = bytearray(self.blocks)  # of blocks whose item has been written
        self.known = 0  # blocks from the first on
        self.late: list[int] = []  # to which the sum before them has to be added

    def accumulate(self) -> None:
        run_blocks(self.blocks, self.add_up_some, grain=1, schedule="greedy")
        run_blocks(len(self.late), self.add_late, grain=1)

    def add_up_some(self, first: int, last: int) -> None:
        for k in range(first, last):
            here = slice(k * self.size, (k + 1) * self.size)
            block = self.target[..., here]
            _add_up(self.source[..., here], block)
            if self.finish(k, block):
                self.add_before(k, block)

    def finish(self, k: int, block: Array) -> bool:
        """Note the sum of block k; return whether that of all before is to be added."""
        sums = self.sums
        with self.lock:
            sums[..., k] = block[..., -1]
            self.ready[k] = True
            while self.known < self.blocks and self.ready[self.known]:
                new = self.known
                if new:
                    before, here = sums[..., new - 1], sums[..., new]
                    sums[..., new] = self.add(before, here)
                self.known += 1
            if k == 0 or self.known >= k:
                return k > 0
            self.late.append(k)
            return False

    def add_before(self, k: int, block: Array) -> None:
        self.add(self.sums[..., k - 1 : k], block, out=block)

    def add_late(self, low: int, high: int) -> None:
        for k in self.late[low:high]:
            self.add_before(k, self.target[..., k * self.size : (k + 1) * self.size])
