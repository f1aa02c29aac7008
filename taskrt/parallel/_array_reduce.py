"""Reducing an array by a ufunc of NumPy, in parallel and the same on any threads."""

from importlib import import_module
from typing import Any

from taskrt.parallel._arrays import (
    Array,
    as_array,
    as_axis,
    cut,
    is_scalar_axis,
    is_ufunc,
    longest_axis,
    rows_of_block,
)
from taskrt.parallel._blocks import run_blocks
from taskrt.parallel._missing import MISSING

# The ufuncs of NumPy that give the same in whatever groups their items are combined.
# Ufuncs of others are taken at their word.
# NumPy reduces several axes at once by some of them only.
OF_AXES = {
    *("add", "multiply", "minimum", "maximum", "fmin", "fmax", "bitwise_and"),
    *("bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor"),
}
ASSOCIATIVE = {*OF_AXES, "gcd", "lcm", "hypot", "logaddexp", "logaddexp2"}

BLOCK_BYTES = 1 << 20  # read per block
PARTIAL_BYTES = 1 << 22  # of what all blocks have come to, at most
WIDTH = 64  # items along an axis that is kept: whole lines of the cache


def reduce_array(
    op: Any,
    a: Array,
    *,
    axis: int | None = 0,
    initial: object = MISSING,
    mapping: Any = None,
    grain: int | None = None,
) -> Any:
    """Reduce an array along an axis by a ufunc; what `reduce` does with these.

    mapping  a ufunc of one argument that is applied to the items first, or None
    """
    numpy = import_module("numpy")
    array = as_array("reduce()", "array", a)
    _check_op(op)
    _check_mapping(mapping)
    if axis is not None and is_scalar_axis(axis, array):
        axis = None
    if axis is None and (array.flags.c_contiguous or op.__name__ not in OF_AXES):
        array, axis = array.reshape(-1), 0
    if axis is not None:
        axis = as_axis(axis, array)
    options = {} if initial is MISSING else {"initial": initial}
    if op in (numpy.add, numpy.multiply) and array.dtype == numpy.float16:
        # As NumPy does, which rounds to 16 bits once, at the end.
        options["dtype"] = numpy.float32
        total = _Reduction(op, mapping, axis, options).reduce(array, grain)
        return total.astype(numpy.float16)
    return _Reduction(op, mapping, axis, options).reduce(array, grain)


def _check_op(op: Any) -> None:
    if op.nin != 2 or op.nout != 1 or op.signature is not None:
        raise ValueError(
            f"reduce(): op must take two items and give one; {op} does not"
        )
    known = getattr(import_module("numpy"), op.__name__, None) is op
    if known and op.__name__ not in ASSOCIATIVE:
        raise ValueError(
            f"reduce(): {op.__name__} is not associative: its result would depend on "
            f"where the array is cut; use numpy.{op.__name__}.reduce"
        )


def _check_mapping(mapping: Any) -> None:
    if mapping is None or (is_ufunc(mapping) and mapping.nin == mapping.nout == 1):
        return
    raise TypeError(
        "reduce(): where op is a ufunc, map must be one of one argument, not "
        f"{mapping!r}; use map_blocks first"
    )


class _Reduction:
    """What is to be done with an array, or with a block of it.

    options  of op.reduce: the first value, and the type to compute in, if asked for
    """

    def __init__(
        self, op: Any, mapping: Any, axis: int | None, options: dict[str, object]
    ) -> None:
        self.op = op
        self.mapping = mapping
        self.axis = axis
        self.options = options

    def reduce(self, array: Array, grain: int | None) -> Any:
        """Reduce along the axis in blocks; where others are longer, cut across it."""
        if array.size == 0 or array.ndim == 0:
            return self.reduce_here(array, self.options)
        axis = self.axis
        kept = [0 if k == axis else n for k, n in enumerate(array.shape)]
        across = longest_axis(tuple(kept))
        if axis is not None and grain is None and kept[across] > array.shape[axis]:
            size = max(WIDTH, rows_of_block(array, across, BLOCK_BYTES))
            blocks = self.reduce_blocks(array, across, size, self.options)
            joint = across - (across > axis)
            return import_module("numpy").concatenate(blocks, axis=joint)
        along = across if axis is None else axis
        size = grain or self.block_length(array, along)
        if size >= array.shape[along]:
            return self.reduce_here(array, self.options)
        within = {key: x for key, x in self.options.items() if key != "initial"}
        blocks = self.reduce_blocks(array, along, size, within)
        whole = self.axis is None or array.ndim == 1
        if whole and self.gives_objects(array):
            stacked = _stack_objects(blocks)
        else:
            stacked = import_module("numpy").stack(blocks)
        return self.op.reduce(stacked, axis=0, **self.options)

    def gives_objects(self, array: Array) -> bool:
        """Return whether items are reduced to any object, not to a number."""
        ufuncs = (self.op, self.mapping) if self.mapping else (self.op,)
        return bool(
            array.dtype.hasobject
            or any(all(types[-1] == "O" for types in ufunc.types) for ufunc in ufuncs)
        )

    def reduce_here(self, block: Array, options: dict[str, object]) -> Any:
        items = block if self.mapping is None else self.mapping(block)
        return self.op.reduce(items, axis=self.axis, **options)

    def block_length(self, array: Array, along: int) -> int:
        """Return how many indices of an axis are reduced by themselves."""
        length = int(array.shape[along])
        partial = 1 if self.axis is None else max(1, array.nbytes // length)
        blocks = max(16, PARTIAL_BYTES // partial)
        return max(rows_of_block(array, along, BLOCK_BYTES), -(-length // blocks))

    def reduce_blocks(
        self, array: Array, axis: int, size: int, options: dict[str, object]
    ) -> list[Any]:
        """Return what each block of so many indices along an axis comes to."""
        found: list[Any] = [None] * -(-int(array.shape[axis]) // size)

        def reduce_some(first: int, last: int) -> None:
            for k in range(first, last):
                block = array[cut(axis, k * size, (k + 1) * size)]
                found[k] = self.reduce_here(block, options)

        run_blocks(len(found), reduce_some, grain=1)
        return found


def _stack_objects(blocks: list[Any]) -> Array:
    """Return an array of these, as they are: arrays and numbers too."""
    items = import_module("numpy").empty(len(blocks), object)
    for k, block in enumerate(blocks):
        items[k] = block
    return items
