"""What the type checkers must say of parallel loops. Checked, never run."""

from collections.abc import Sequence
from typing import assert_type

from taskrt import parallel


def half(x: int) -> float:
    return x / 2


def scale(x: int, by: str) -> bytes:
    return by.encode() * x


def fill(buffer: bytearray, x: int) -> str:
    return f"{len(buffer)} {x}"


def both(left: list[int], right: list[int]) -> list[int]:
    return left + right


def add(part: list[int], x: int) -> None:
    part.append(x)


assert_type(parallel.map(half, [1, 2]), list[float])
assert_type(parallel.map(scale, [1], ["x"], strict=True, grain=5), list[bytes])
assert_type(parallel.map(fill, range(3), init=bytearray), list[str])
assert_type(
    parallel.map(half, range(3), schedule="greedy", progress="half"), list[float]
)
assert_type(parallel.starmap(scale, [(1, "x")], grain=None), list[bytes])
parallel.for_each(half, (1, 2), progress=True)
parallel.for_each(fill, [1], init=bytearray)
parallel.for_range(half, 10, grain=3)
parallel.for_range(fill, 0, 10, 2, init=bytearray)
parallel.for_blocks(range, 0, 10, schedule="static")

parts: parallel.Reducer[list[int]] = parallel.Reducer(list, both)
parallel.for_each(add, range(3), init=parts)
assert_type(parts.value, list[int])

assert_type(parallel.chunks(10, n=3), list[range])
assert_type(parallel.chunks("text", size=2, split="round_robin"), list[Sequence[str]])

parallel.map(half, ["no number"])  # type: ignore[arg-type]
parallel.map(half, [1], schedule="fast")  # type: ignore[call-overload]
parallel.for_range(half, 1.5)  # type: ignore[call-overload]
