"""Sorting arrays: against Python, at every type, length and number of threads."""

from __future__ import annotations

import array
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.reference import in_order

from taskrt import _kernels as kernels

Resize = Callable[[int], object]

INTEGERS = "bBhHiIqQ"
FLOATS = "fd"
NAN, INF = math.nan, math.inf

# Up to here items are inserted; from here on several threads share the work.
SHORT, SERIAL = 24, 2**16
LENGTHS = [0, 1, 2, 5, SHORT, SHORT + 1, 129, 1000, SERIAL, SERIAL + 1]

each_code = pytest.mark.parametrize("code", INTEGERS + FLOATS)
either_way = pytest.mark.parametrize("reverse", [False, True])


def patterns(code: str, length: int) -> Iterator[array.array[Any]]:
    """Return arrays that are hard to sort for one reason or another."""
    rng = random.Random(f"{code} {length}")
    noise = array.array(code)
    noise.frombytes(rng.randbytes(length * noise.itemsize))  # NaNs among the floats
    yield noise
    yield in_order(noise)
    yield in_order(noise)[::-1]
    yield array.array(code, (rng.randrange(5) for _ in range(length)))
    yield array.array(code, (min(i, length - i) % 128 for i in range(length)))
    yield array.array(code, (rng.randrange(9) if i else 127 for i in range(length)))
    if code in FLOATS:
        odd = [NAN, -NAN, INF, -INF, 0.0, -0.0, 1e-40, -1e-40, 1.0]
        yield array.array(code, rng.choices(odd, k=length))
        yield array.array(code, (rng.gauss(0.0, 1e6) for _ in range(length)))


def order_of(items: array.array[Any], *, reverse: bool) -> list[int]:
    """Return the indices of the items in order: stable, NaNs last either way."""
    numbers = [i for i, x in enumerate(items) if x == x]
    nans = [i for i, x in enumerate(items) if x != x]
    return sorted(numbers, key=items.__getitem__, reverse=reverse) + nans


def picked(items: array.array[Any], indices: list[int]) -> bytes:
    """Return the bits of those items; a NaN keeps its own."""
    size, bits = items.itemsize, items.tobytes()
    return b"".join(bits[i * size : (i + 1) * size] for i in indices)


def indices_for(items: array.array[Any]) -> array.array[int]:
    return array.array("q", [-1]) * len(items)


@either_way
@each_code
class TestOneRow:
    @pytest.mark.parametrize("length", LENGTHS)
    def test_is_sorted_as_by_a_stable_sort(
        self, code: str, length: int, reverse: bool
    ) -> None:
        for items in patterns(code, length):
            indices = order_of(items, reverse=reverse)
            found = indices_for(items)
            kernels.argsort(items, found, reverse=reverse)
            assert found.tolist() == indices
            expected = picked(items, indices)
            kernels.sort(items, reverse=reverse)
            assert items.tobytes() == expected

    def test_of_many_threads_is_that_of_one(
        self, code: str, reverse: bool, set_num_threads: Resize
    ) -> None:
        for items in patterns(code, SERIAL + 9):
            outcomes = set()
            for workers in (1, 2, 4):
                set_num_threads(workers)
                found, its = indices_for(items), items[:]
                kernels.argsort(items, found, reverse=reverse)
                kernels.sort(its, reverse=reverse)
                outcomes.add((its.tobytes(), found.tobytes()))
            assert len(outcomes) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (7, 1), (300, 2, 5), (40, 2000)])
def test_rows_are_sorted_one_by_one(shape: tuple[int, ...]) -> None:
    count, length = math.prod(shape[:-1]), shape[-1]
    items = array.array("d", (random.random() for _ in range(count * length)))
    expected = array.array("d")
    indices: list[int] = []
    for row in range(count):
        its = items[row * length : (row + 1) * length]
        expected.extend(sorted(its))
        indices += order_of(its, reverse=False)
    out = indices_for(items)
    if count * length:
        view = memoryview(items).cast("B").cast("d", shape)
        out_view = memoryview(out).cast("B").cast("q", shape)
        kernels.argsort(view, out_view)
        kernels.sort(view)
    assert items == expected
    assert out.tolist() == indices


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_numpy_agrees(axes: tuple[int, int]) -> None:
    np = pytest.importorskip("numpy")
    rng = np.random.default_rng(3)
    for dtype in ("int8", "uint16", "int32", "uint64", "float32", "float64"):
        bits = rng.integers(0, 256, 300 * 400 * np.dtype(dtype).itemsize, "uint8")
        items = np.ascontiguousarray(bits.view(dtype).reshape(300, 400).transpose(axes))
        found = np.empty(items.shape, "int64")
        kernels.argsort(items, found)
        assert (found == np.argsort(items, kind="stable")).all()
        expected = np.take_along_axis(items, found, -1)
        kernels.sort(items)
        assert items.tobytes() == expected.tobytes()


# --- what is refused ------------------------------------------------------------------


def test_what_is_not_contiguous_is_refused() -> None:
    items = array.array("i", [3, 1, 2, 0])
    out = array.array("q", [7, 7])
    with pytest.raises(ValueError, match="contiguous, with its rows one after"):
        kernels.sort(memoryview(items)[::2])
    with pytest.raises(ValueError, match="contiguous, with its rows one after"):
        kernels.argsort(memoryview(items)[::2], out)
    assert items.tolist() == [3, 1, 2, 0]
    assert out.tolist() == [7, 7]


def test_what_has_no_dimension_is_refused() -> None:
    np = pytest.importorskip("numpy")
    with pytest.raises(ValueError, match="at least one dimension, not 0"):
        kernels.sort(np.zeros(()))
    turned = np.asfortranarray(np.ones((3, 4)))
    with pytest.raises(ValueError, match="contiguous"):
        kernels.sort(turned)


def test_read_only_items_are_not_sorted_but_have_an_order() -> None:
    items = memoryview(bytes([3, 1, 2]))
    with pytest.raises(ValueError, match="array is read-only"):
        kernels.sort(items)
    out = array.array("q", [7, 7, 7])
    kernels.argsort(items, out)
    assert out.tolist() == [1, 2, 0]


def test_wrong_indices_are_refused() -> None:
    items = array.array("q", [3, 1, 2])
    with pytest.raises(TypeError, match="out has to hold int64, not int32"):
        kernels.argsort(items, array.array("i", [7, 7, 7]))
    with pytest.raises(
        ValueError, match=r"shape of array, 3 items in rows of 3, not 2"
    ):
        kernels.argsort(items, array.array("q", [7, 7]))
    with pytest.raises(ValueError, match="out overlaps array in memory"):
        kernels.argsort(items, items)
    assert items.tolist() == [3, 1, 2]


@pytest.mark.parametrize("wrong", [None, [2, 1], "text"])
def test_what_has_no_buffer_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="array has to be an array of numbers"):
        kernels.sort(wrong)
    with pytest.raises(TypeError, match="out has to be an array of numbers"):
        kernels.argsort(array.array("i", [1]), wrong)
