"""Native loops and reductions: every index once, at every size the same result."""

from __future__ import annotations

import array
import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from taskrt import native
from taskrt.native import NativeError

Resize = Callable[[int], object]


# --- loops ----------------------------------------------------------------------------


@pytest.mark.usefixtures("threads")
class TestLoopsAtEverySize:
    @pytest.mark.parametrize("count", [0, 1, 2, 99, 100_003])
    @pytest.mark.parametrize("grain", [0, 1, 7, 10**18])
    def test_every_index_once(self, lib: ctypes.CDLL, count: int, grain: int) -> None:
        items = array.array("q", bytes(8 * count + 8))
        native.for_range(lib.count_up, 0, count, items, grain=grain)
        assert items.tolist() == [1] * count + [0]

    @pytest.mark.parametrize("grain", [1, 10, 1000])
    def test_part_is_never_longer_than_the_grain(
        self, lib: ctypes.CDLL, grain: int
    ) -> None:
        seen = array.array("q", [2**62, 0, 0])
        native.for_range(lib.measure, -5_000, 5_000, seen, grain=grain)
        assert seen[1] <= grain
        assert seen[2] == 10_000

    def test_failing_part_ends_the_loop(self, lib: ctypes.CDLL) -> None:
        seen = array.array("q", [500, 0, 0])
        with pytest.raises(NativeError, match="beyond the limit"):
            native.for_range(lib.measure, 0, 10**15, seen, grain=1)

    def test_float_sum_is_the_same_at_every_size(self, lib: ctypes.CDLL) -> None:
        items = array.array("d", (1.0 / n for n in range(1, 100_001)))
        sums = set()
        for _ in range(20):
            result = array.array("d", [0.0])
            native.reduce(
                lib.sum_doubles, lib.add_doubles, 0, len(items), result, items, grain=64
            )
            sums.add(result[0])
        assert sums == {tree_sum(items, 64)}

    def test_large_accumulators_need_no_more_memory_than_the_tree_is_deep(
        self, lib: ctypes.CDLL
    ) -> None:
        """A million parts of a mebibyte each would not fit."""
        result = array.array("Q", bytes(1 << 20))
        native.reduce(lib.count_indices, lib.add_counts, 0, 5_000, result, grain=1)
        assert result[0] == 5_000

    @pytest.mark.parametrize("grain", [0, 1, 13])
    def test_parts_are_combined_in_order(self, lib: ctypes.CDLL, grain: int) -> None:
        for count in (0, 1, 2, 1000):
            result = array.array("Q", [1, 0])
            native.reduce(lib.compose, lib.compose_after, 0, count, result, grain=grain)
            assert result.tolist() == composed(count)


def tree_sum(items: array.array[float], grain: int) -> float:
    """Sum up as reduce does: parts, then along a tree that is cut in halves."""
    if len(items) <= grain:
        total = 0.0
        for item in items:
            total += item
        return total
    parts = -(-len(items) // grain)
    middle = parts // 2 * grain
    return tree_sum(items[:middle], grain) + tree_sum(items[middle:], grain)


def composed(count: int) -> list[int]:
    a, b = 1, 0
    for i in range(count):
        a, b = (2 * i + 3) * a % 2**64, ((2 * i + 3) * b + i * i) % 2**64
    return [a, b]


def test_range_may_be_as_long_as_the_numbers_go(lib: ctypes.CDLL) -> None:
    seen = array.array("q", [-(2**63), 0, 0])
    with pytest.raises(NativeError, match="beyond the limit"):
        native.for_range(lib.measure, -(2**63), 2**63 - 1, seen)


def test_reduction_of_the_longest_range(lib: ctypes.CDLL) -> None:
    result = array.array("Q", [0])
    native.reduce(lib.count_indices, lib.add_counts, -(2**63), 2**63 - 1, result)
    assert result[0] == 2**64 - 1


def test_empty_range_calls_nothing(lib: ctypes.CDLL) -> None:
    native.for_range(lib.count_up, 5, 5, None)
    native.for_range(lib.count_up, 5, -5, None)


@pytest.mark.parametrize(
    ("begin", "end", "grain", "error"),
    [
        (0, 10, -1, ValueError),
        (0, 2**63, 0, OverflowError),
        (0.5, 10, 0, TypeError),
        (0, 10, "1", TypeError),
    ],
)
def test_bad_range(
    lib: ctypes.CDLL, begin: Any, end: Any, grain: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        native.for_range(lib.count_up, begin, end, None, grain=grain)


def test_result_of_a_reduction_must_be_writable(lib: ctypes.CDLL) -> None:
    for bad in (b"12345678", None, [0.0]):
        with pytest.raises((TypeError, BufferError)):
            native.reduce(lib.sum_doubles, lib.add_doubles, 0, 0, bad)
