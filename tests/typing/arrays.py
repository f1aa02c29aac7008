"""What checkers see of algorithms on arrays, also without the types of NumPy."""

import operator
from collections.abc import Iterator
from typing import Any, assert_type

from taskrt import parallel


class Vector:
    """What looks like an array."""

    dtype: Any
    ndim: int

    def __array__(self) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Iterator[float]:
        raise NotImplementedError


vector = Vector()

assert_type(parallel.sort(vector), Vector)
assert_type(parallel.sort(vector, None, kind="stable", reverse=True), Vector)
assert_type(parallel.sort(vector, 0, out=vector), Vector)
assert_type(parallel.sort([1, 2]), list[int])
assert_type(parallel.sort(["a"], key=len), list[str])
parallel.sort([1, 2], axis=0)  # type: ignore[call-overload]
parallel.sort(vector, "1")  # type: ignore[call-overload]

assert_type(parallel.reduce(operator.add, vector, axis=None, initial=1), Any)
assert_type(parallel.reduce(operator.add, [1, 2]), int)

assert_type(parallel.argsort(vector, 1, kind=None), Any)
assert_type(parallel.merge(vector, vector, out=vector), Any)
assert_type(parallel.cumsum(vector, 0, dtype="f8"), Any)
parallel.cumsum(vector, "0")  # type: ignore[arg-type]

assert_type(parallel.map_blocks(abs, vector, 2.5, axis=1, grain=3), Any)
parallel.map_blocks(abs, vector, grain="3")  # type: ignore[arg-type]
