"""Reductions and scans of Python objects, the same for every number of threads."""

import builtins
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload

from taskrt.parallel._array_reduce import reduce_array
from taskrt.parallel._arrays import ArrayLike, is_array, is_ufunc
from taskrt.parallel._blocks import Schedule, check_options
from taskrt.parallel._calls import call_each, check_callable, check_callable_option
from taskrt.parallel._leaves import Leaves
from taskrt.parallel._missing import MISSING, Missing

_T = TypeVar("_T")
_R = TypeVar("_R")

# How many values of leaves, or of nodes below, a node of the tree takes in.
_FAN_IN = 16


@overload
def reduce(
    op: Callable[..., Any],
    iterable: ArrayLike,
    /,
    *,
    initial: Any = ...,
    map: Callable[[Any], Any] | None = None,
    axis: int | None = 0,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> Any: ...
@overload
def reduce(
    op: Callable[[_T, _T], _T],
    iterable: Iterable[_T],
    /,
    *,
    initial: _T | Missing = ...,
    map: None = None,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> _T: ...
@overload
def reduce(
    op: Callable[[_R, _R], _R],
    iterable: Iterable[_T],
    /,
    *,
    initial: _R | Missing = ...,
    map: Callable[[_T], _R],
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> _R: ...
def reduce(
    op: Callable[[Any, Any], Any],
    iterable: Any,
    /,
    *,
    initial: Any = MISSING,
    map: Callable[[Any], Any] | None = None,
    axis: int | None = 0,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> Any:
    """Fold the items with op(left, right) in parallel, in their order.

    op        associative; it need not be commutative
    initial   left of all items, and the result where there are none
    map       called with each item; op then gets what it returns
    grain     items of a leaf of the tree, 1 or more; None: by their number
    schedule  how leaves get to threads, as for `for_each`

    A NumPy array that is reduced by a ufunc, such as `numpy.add`, is cut into blocks,
    which NumPy reduces by themselves, and then what they have come to. `map`, if there
    is one, is a ufunc, too; `grain` is the indices in a block, and

    axis      the axis along which to reduce; None: all items. The first one by default,
              so that the result is that of the rows, one after the other

    Types, identities and errors are those of ``op.reduce``. A ufunc of NumPy that is
    not associative raises ValueError. By any other op the items, or rows, are folded
    as those of other iterables.

    The tree is fixed by the number of items and the grain: so the result is the same
    bit for bit for every number of threads, also where op only nearly is associative,
    as sums of floats are; it may then differ from that of `functools.reduce`. op is
    called once less often than there are items, `initial` included.

    Raises TypeError if there is neither an item nor `initial`, or for wrong options,
    ValueError for others; of the leaves in which op or map has failed the error of the
    first; Cancelled. A suspension point and a checkpoint; any thread.

    >>> from taskrt import parallel
    >>> parallel.reduce(max, ["tree", "is", "fixed"], map=len)
    5
    """
    check_callable("reduce()", op)
    check_callable_option("reduce()", "map", map)
    if is_ufunc(op) and is_array(iterable) and (map is None or is_ufunc(map)):
        grain = check_options("reduce()", grain, schedule)
        return reduce_array(
            op, iterable, axis=axis, initial=initial, mapping=map, grain=grain
        )
    if axis != 0:
        raise TypeError(
            "reduce(): axis is an option of NumPy arrays that a ufunc reduces, and "
            f"these are {type(iterable).__name__!r} and {op!r}"
        )
    grain = check_options("reduce()", grain, schedule)
    leaves = Leaves(iterable, grain, schedule)
    if not leaves.count:
        if initial is MISSING:
            raise TypeError(
                "reduce() of no items has no value: hand over initial= for that case"
            )
        return initial

    def fold(values: Iterable[Any]) -> Any:
        return functools.reduce(op, values)

    total = _fold_tree(leaves, fold, map)
    return total if initial is MISSING else op(initial, total)


def _fold_tree(
    leaves: Leaves[Any],
    fold: Callable[[Iterable[Any]], Any],
    map: Callable[[Any], Any] | None,
) -> Any:
    """Fold each leaf, then neighbours of what came of them, until there is one."""

    def fold_leaf(number: int) -> Any:
        leaf = leaves[number]
        return fold(leaf if map is None else call_each(map, leaf))

    values = leaves.map(fold_leaf)
    while len(values) > 1:
        values = Leaves(values, _FAN_IN, leaves.schedule).fold(fold)
    return values[0]


def scan(
    op: Callable[[_T, _T], _T],
    iterable: Iterable[_T],
    /,
    *,
    initial: _T | Missing = MISSING,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> list[_T]:
    """Return the folds of the first item, the first two, and so on, as a list.

    op        associative; it need not be commutative
    initial   left of all items; it is then the first of the list, which has one more
    grain     items of a leaf, 1 or more; None: by their number
    schedule  how leaves get to threads, as for `for_each`

    As list(itertools.accumulate(iterable, op, initial=initial)), but for the grouping:
    each leaf but the last is folded, the folds are accumulated, and each leaf then is,
    from what is left of it. So op is called about twice as often as there are items,
    and must be associative; where it only nearly is, the result is all the same fixed
    by the number of items and the grain, and does not depend on the number of threads.

    Raises what `reduce` does, but that there may be no items. A suspension point and a
    checkpoint; any thread. Source: the two passes of G. E. Blelloch, 1990.

    >>> from operator import add
    >>> from taskrt import parallel
    >>> parallel.scan(add, [1, 2, 3, 4])
    [1, 3, 6, 10]
    """
    check_callable("scan()", op)
    grain = check_options("scan()", grain, schedule)
    leaves = Leaves(iterable, grain, schedule)
    last = leaves.count - 1
    if last < 0:
        return [] if initial is MISSING else [initial]

    def fold(number: int) -> Any:
        return functools.reduce(op, leaves[number]) if number < last else None

    before = [initial, *leaves.map(fold)[:last]]
    if initial is MISSING:
        before[1:] = _accumulate(op, before[1:])
    else:
        before = _accumulate(op, before)

    def accumulate(number: int) -> list[Any]:
        left = before[number]
        if left is MISSING:
            return _accumulate(op, leaves[number])
        found = _accumulate(op, [left, *leaves[number]])
        return found if number == 0 else found[1:]

    return list(itertools.chain.from_iterable(leaves.map(accumulate)))


def _accumulate(op: Callable[[_T, _T], _T], items: Sequence[_T]) -> list[_T]:
    found = list(itertools.accumulate(items, op))
    if len(found) < len(items):  # the end, for whoever iterates
        raise RuntimeError("the op of scan() has raised StopIteration")
    return found


def sum(
    iterable: Iterable[Any],
    /,
    start: Any = 0,
    *,
    map: Callable[[Any], Any] | None = None,
    grain: int | None = None,
    schedule: Schedule = "auto",
) -> Any:
    """Return start + the first item + the second and so on, added up in parallel.

    map    called with each item; what it returns is added

    Other options, grouping and errors as of `reduce`: a sum of floats does not depend
    on the number of threads. Strings are refused as by the builtin `sum`. A suspension
    point and a checkpoint; any thread.

    >>> from taskrt import parallel
    >>> parallel.sum([1, 2, 3], map=float)
    6.0
    """
    check_callable_option("sum()", "map", map)
    grain = check_options("sum()", grain, schedule)
    nothing = builtins.sum((), start)  # which raises what is wrong with it
    leaves = Leaves(iterable, grain, schedule)
    if not leaves.count:
        return nothing
    return start + _fold_tree(leaves, _add_up, map)


def _add_up(values: Iterable[Any]) -> Any:
    rest = iter(values)
    return builtins.sum(rest, next(rest))
