"""Kernels on arrays: against Python, at every type, length and number of threads."""

from __future__ import annotations

import array
import bisect
import ctypes
import itertools
import math
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import some_examples
from support.reference import in_order

import taskrt
from taskrt import _kernels as kernels

Resize = Callable[[int], object]

INTEGERS = "bBhHiIqQ"
FLOATS = "fd"
CODES = INTEGERS + FLOATS
NAN, INF = math.nan, math.inf

# Where several threads begin to share the work: csrc/kernels/dtype.h.
MERGE_SERIAL, STRIDED_SERIAL, SUM_SERIAL = 2**16, 2**19, 2**21
FILL_SERIAL = 2**24  # bytes

each_code = pytest.mark.parametrize("code", CODES)


@pytest.fixture(params=[1, 2, 4])
def threads(request: pytest.FixtureRequest, set_num_threads: Resize) -> int:
    set_num_threads(request.param)
    return int(request.param)


def bounds(code: str) -> tuple[int, int]:
    """Return the least and the greatest integer of a type."""
    bits = 8 * struct.calcsize(code)
    return (
        (0, 2**bits - 1)
        if code.isupper()
        else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


def numbers(code: str) -> st.SearchStrategy[Any]:
    """Draw from all numbers of a type, often from a few, so that some are equal."""
    if code in FLOATS:
        few = st.sampled_from([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, -NAN])
        return few | st.floats(width=8 * struct.calcsize(code))
    low, high = bounds(code)
    return st.integers(max(low, -2), 2) | st.integers(low, high)


def arrays(code: str) -> st.SearchStrategy[array.array[Any]]:
    return st.lists(numbers(code)).map(lambda items: array.array(code, items))


def random_array(code: str, length: int, seed: int) -> array.array[Any]:
    """Return numbers of all sizes, or a few bits of NaN and infinity among them."""
    rng = random.Random(seed)
    result = array.array(code)
    if code in INTEGERS:
        result.frombytes(rng.randbytes(length * result.itemsize))
        return result
    odd = [NAN, -NAN, INF, -INF, 0.0, -0.0]
    for _ in range(length):
        result.append(rng.choice(odd) if rng.random() < 0.01 else rng.gauss(0.0, 1e6))
    return result


def order(x: Any) -> tuple[bool, Any]:
    """Say where x is sorted to: NaNs after all numbers, and equal to each other."""
    return x != x, 0 if x != x else x


def merged(left: array.array[Any], right: array.array[Any]) -> array.array[Any]:
    out = array.array(left.typecode, bytes((len(left) + len(right)) * left.itemsize))
    kernels.merge(left, right, out)
    return out


# --- merging --------------------------------------------------------------------------
#
# Bytes are compared: they tell 0.0 from -0.0 and one NaN from another, which are equal
# to a merge, so that their order shows whether it is stable, as sorted() is.


@each_code
class TestMerge:
    @given(data=st.data())
    @some_examples(40)
    def test_is_that_of_a_stable_sort(self, code: str, data: st.DataObject) -> None:
        left, right = (in_order(data.draw(arrays(code))) for _ in range(2))
        assert merged(left, right).tobytes() == in_order(left + right).tobytes()

    @pytest.mark.parametrize("length", [2, 63, 1000, 2**13 - 1, MERGE_SERIAL + 1])
    @pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5])
    def test_of_random_runs_is_sorted(
        self, code: str, length: int, share: float
    ) -> None:
        items = random_array(code, length, seed=length)
        cut = round(share * length)
        left, right = in_order(items[:cut]), in_order(items[cut:])
        assert merged(left, right).tobytes() == in_order(left + right).tobytes()
        assert merged(right, left).tobytes() == in_order(right + left).tobytes()

    @given(data=st.data())
    @some_examples(40)
    def test_of_unsorted_runs_stays_in_its_place(
        self, code: str, data: st.DataObject
    ) -> None:
        times = data.draw(st.sampled_from([1, 50]))
        left, right = (times * data.draw(arrays(code)) for _ in range(2))
        length, gap = len(left) + len(right), 16
        out = array.array(code, (1 for _ in range(length + 2 * gap)))
        kernels.merge(left, right, memoryview(out)[gap : gap + length])
        assert list(out[:gap]) == list(out[gap + length :]) == gap * [1]


@pytest.mark.parametrize("code", "qd")
@pytest.mark.parametrize("length", [1000, MERGE_SERIAL, MERGE_SERIAL + 1, 300_007])
def test_merge_is_the_same_on_any_number_of_threads(
    code: str, length: int, threads: int
) -> None:
    few = [-1.0, 0.0, -0.0, 1.0, NAN, -NAN] if code == "d" else [-1, 0, 1]
    rng = random.Random(length)
    items = array.array(code, (rng.choice(few) for _ in range(length)))
    cut = length // 3
    left, right = in_order(items[:cut]), in_order(items[cut:])
    assert merged(left, right).tobytes() == in_order(left + right).tobytes()


def test_merge_of_long_unsorted_runs_stays_in_its_place(threads: int) -> None:
    left, right = (random_array("h", 100_000, seed) for seed in (1, 2))
    out = array.array("h", 200_032 * [77])
    kernels.merge(left, right, memoryview(out)[16:-16])
    assert list(out[:16]) == list(out[-16:]) == 16 * [77]


@pytest.mark.parametrize("times", [1, 9, 40])  # the ends, one middle, two halves
def test_merge_of_all_runs_of_a_few_keys(times: int) -> None:
    keys = (-1.0, 0.0, NAN)
    choose = itertools.combinations_with_replacement
    runs = [run for size in range(5) for run in choose(keys, size)]
    for left, right in itertools.product(runs, runs):
        left_run, right_run = (
            in_order(times * array.array("d", (x or sign * 0.0 for x in run)))
            for run, sign in ((left, 1.0), (right, -1.0))
        )
        expected = in_order(left_run + right_run)
        assert merged(left_run, right_run).tobytes() == expected.tobytes()


@pytest.mark.parametrize("length", [1, 100, 100_000])
def test_merge_of_runs_that_follow_each_other(length: int) -> None:
    low = array.array("i", range(length))
    high = array.array("i", range(length, 3 * length))
    assert merged(low, high) == merged(high, low) == low + high
    equal = array.array("i", bytes(4 * length))
    assert merged(equal, equal) == equal + equal
    assert merged(low, low) == array.array("i", sorted(low + low))


def test_merge_takes_any_buffer() -> None:
    left = (ctypes.c_long * 3)(1, 3, 5)
    right = memoryview(array.array("q", [2, 4]))
    out = memoryview(bytearray(40)).cast("l")
    kernels.merge(left, right, out)
    assert out.tolist() == [1, 2, 3, 4, 5]
    text = bytearray(6)
    kernels.merge(b"ace", b"bdf", text)
    assert text == b"abcdef"


# --- the merge path -------------------------------------------------------------------


def path(left: array.array[Any], right: array.array[Any]) -> list[tuple[int, int]]:
    """Return how many items of each are among the first 0, 1, ... of a stable merge."""
    sides = sorted([*((order(x), 0) for x in left), *((order(y), 1) for y in right)])
    of_right = itertools.accumulate((side for _, side in sides), initial=0)
    return [(diagonal - j, j) for diagonal, j in enumerate(of_right)]


@each_code
@given(data=st.data())
@some_examples(40)
def test_path_is_that_of_a_stable_merge(code: str, data: st.DataObject) -> None:
    left, right = (in_order(data.draw(arrays(code))) for _ in range(2))
    diagonals = range(len(left) + len(right) + 1)
    assert [kernels.merge_path(left, right, d) for d in diagonals] == path(left, right)


def test_path_cuts_a_merge_in_two() -> None:
    left, right = (in_order(random_array("d", 10_000, seed)) for seed in (1, 2))
    whole = merged(left, right)
    for diagonal in (0, 1, 4_999, 10_000, 19_999, 20_000):
        i, j = kernels.merge_path(left, right, diagonal)
        assert i + j == diagonal
        parts = merged(left[:i], right[:j]) + merged(left[i:], right[j:])
        assert parts.tobytes() == whole.tobytes()


# --- filling and copying --------------------------------------------------------------


@each_code
class TestFillAndCopy:
    @pytest.mark.parametrize("length", [0, 1, 7, 63, 64, 65, 1000, 70_001])
    def test_every_item_and_no_other(self, code: str, length: int) -> None:
        ones = array.array(code, [1]) * (length + 2)
        kernels.fill(memoryview(ones)[1:-1], 7)
        assert ones == array.array(code, [1, *([7] * length), 1])
        source = random_array(code, length, seed=1)
        kernels.copy(source, memoryview(ones)[1:-1])
        assert ones[1:-1].tobytes() == source.tobytes()
        assert (ones[0], ones[-1]) == (1, 1)

    @pytest.mark.parametrize("length", [0, 1, 7, 1000, STRIDED_SERIAL + 1])
    @pytest.mark.parametrize("steps", [(1, 3), (-1, 2), (2, -1)])
    def test_with_strides(self, code: str, length: int, steps: tuple[int, int]) -> None:
        source = random_array(code, length * abs(steps[0]), seed=2)
        target = array.array(code, [1]) * (length * abs(steps[1]))
        expected = target[:]
        kernels.copy(memoryview(source)[:: steps[0]], memoryview(target)[:: steps[1]])
        expected[:: steps[1]] = source[:: steps[0]]
        assert target.tobytes() == expected.tobytes()
        kernels.fill(memoryview(target)[:: steps[1]], 5)
        expected[:: steps[1]] = array.array(code, [5]) * length
        assert target.tobytes() == expected.tobytes()

    @given(data=st.data())
    @some_examples(40)
    def test_fill_with_any_value(self, code: str, data: st.DataObject) -> None:
        value = data.draw(numbers(code))
        items = array.array(code, bytes(5 * struct.calcsize(code)))
        kernels.fill(items, value)
        assert items.tobytes() == 5 * struct.pack(code, value)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("code", "bhfd")
@pytest.mark.parametrize("more", [0, 1, 12_345])
def test_fill_and_copy_of_much(code: str, more: int) -> None:
    length = FILL_SERIAL // struct.calcsize(code) + more
    source = (random_array(code, 10_007, seed=more) * (length // 10_007 + 1))[:length]
    target = array.array(code, [1]) * (length + 2)
    kernels.copy(source, memoryview(target)[1:-1])
    assert (target[0], target[-1]) == (1, 1)
    assert memoryview(target)[1:-1].tobytes() == source.tobytes()
    kernels.fill(memoryview(target)[1:-1], 7)
    one = array.array(code, [1])
    assert target == one + length * array.array(code, [7]) + one


# --- sums -----------------------------------------------------------------------------

SUM_LENGTHS = [0, 1, 7, 255, 257, 8191, 8193, 100_003, SUM_SERIAL, SUM_SERIAL + 1]


def wrapped(code: str, total: int) -> int:
    """Return what is left of a sum in 64 bits."""
    total %= 2**64
    return total if code.isupper() or total < 2**63 else total - 2**64


@pytest.mark.parametrize("code", INTEGERS)
class TestSumOfIntegers:
    @pytest.mark.parametrize("length", SUM_LENGTHS)
    def test_wraps_around(self, code: str, length: int) -> None:
        items = random_array(code, length, seed=length)
        assert kernels.sum(items) == wrapped(code, sum(items))
        view = memoryview(items)[::-3]
        assert kernels.sum(view) == wrapped(code, sum(view))

    def test_of_extremes(self, code: str) -> None:
        for value in bounds(code):
            items = array.array(code, [value]) * 1001
            assert kernels.sum(items) == wrapped(code, 1001 * value)


@pytest.mark.parametrize("code", FLOATS)
class TestSumOfFloats:
    @pytest.mark.parametrize("length", SUM_LENGTHS)
    def test_is_close_and_the_same_on_any_number_of_threads(
        self, code: str, length: int, set_num_threads: Resize
    ) -> None:
        rng = random.Random(length)
        items = array.array(code, (rng.gauss(0.0, 1e3) for _ in range(10_007)))
        items = (items * (length // len(items) + 1))[:length]
        sums = set()
        for count in (1, 2, 4):
            set_num_threads(count)
            sums |= {kernels.sum(items) for _ in range(5)}
        assert len(sums) == 1
        error = abs(sums.pop() - math.fsum(items))
        assert error <= 1e-15 * math.fsum(map(abs, items))

    @given(data=st.data())
    @some_examples(40)
    def test_of_odd_numbers(self, code: str, data: st.DataObject) -> None:
        few = st.sampled_from([0.0, -1.0, 1e30, INF, -INF, NAN])
        items = array.array(code, data.draw(st.lists(few, max_size=30)))
        found, exact = kernels.sum(items), sum(items)
        if math.isfinite(exact):
            assert found == pytest.approx(math.fsum(items), rel=1e-15, abs=1e15)
        else:
            assert order(found) == order(exact)

    def test_with_strides(self, code: str) -> None:
        items = random_array(code, 1000, seed=3)
        chosen = array.array(code, (x for x in items if math.isfinite(x)))
        for step in (-1, 2, -3):
            every = chosen[::step]
            assert kernels.sum(memoryview(chosen)[::step]) == kernels.sum(every)


@pytest.mark.usefixtures("threads")
def test_sum_keeps_what_cancellation_of_parts_would_lose() -> None:
    part = array.array("d", [1.0]) * 8192
    large = array.array("d", [1e20]) + array.array("d", bytes(8 * 8191))
    opposite = array.array("d", [-1e20]) + array.array("d", bytes(8 * 8191))
    assert kernels.sum(large + 20 * part + opposite) == 20 * 8192.0


def test_sum_of_nothing() -> None:
    assert [kernels.sum(array.array(code)) for code in CODES] == len(CODES) * [0]
    assert {type(kernels.sum(array.array(code))) for code in INTEGERS} == {int}
    assert {type(kernels.sum(array.array(code))) for code in FLOATS} == {float}


# --- NumPy ----------------------------------------------------------------------------


def test_numpy_arrays_of_every_type() -> None:
    np = pytest.importorskip("numpy")
    rng = np.random.default_rng(1)
    for bits in (8, 16, 32, 64):
        for kind in ("int", "uint", "float"):
            if (kind, bits) in {("float", 8), ("float", 16)}:
                continue
            items = rng.integers(0, 100, 100_000).astype(f"{kind}{bits}")
            left, right = np.sort(items[:30_000]), np.sort(items[30_000:])
            out = np.empty_like(items)
            kernels.merge(left, right, out)
            assert np.array_equal(out, np.sort(items))
            assert kernels.sum(items[::-7]) == items[::-7].sum()
            kernels.copy(items[::2], out[50_000:][::-1])
            assert np.array_equal(out[50_000:][::-1], items[::2])
            kernels.fill(out.reshape(1000, 100)[:, 3], 9)
            assert set(out[3::100]) == {9}


def test_numpy_sorts_nan_to_the_same_place() -> None:
    np = pytest.importorskip("numpy")
    items = np.array([NAN, 1.0, -INF, INF, NAN, 0.0, -0.0] * 20_000)
    left, right = np.sort(items[:50_001]), np.sort(items[50_001:])
    out = np.empty_like(items)
    kernels.merge(left, right, out)
    assert np.array_equal(out, np.sort(items), equal_nan=True)


# --- as part of a task ----------------------------------------------------------------


@pytest.mark.parametrize("length", [2, SUM_SERIAL + 1])
def test_every_call_that_writes_or_adds_is_a_checkpoint(length: int) -> None:
    items = array.array("d", bytes(8 * length))
    out = array.array("d", bytes(16 * length))
    kernel_calls: list[Callable[[], object]] = [
        lambda: kernels.merge(items, items, out),
        lambda: kernels.fill(items, 1.0),
        lambda: kernels.copy(items, memoryview(out)[:length]),
        lambda: kernels.sum(items),
    ]

    def cancel_and_call(call: Callable[[], object]) -> None:
        task = taskrt.current_task()
        assert task is not None
        task.cancel()
        call()

    for call in kernel_calls:
        task = taskrt.spawn(cancel_and_call, call)
        with pytest.raises(taskrt.CancelledError):
            taskrt.fetch(task)
        assert task.state == "cancelled"


@pytest.mark.usefixtures("threads")
def test_tasks_call_kernels_side_by_side() -> None:
    def sums_agree(seed: int) -> bool:
        items = random_array("q", 70_000, seed)
        cut = bisect.bisect(range(len(items)), seed * 7_000)
        whole = merged(in_order(items[:cut]), in_order(items[cut:]))
        return kernels.sum(items) == kernels.sum(whole)

    tasks = [taskrt.spawn(sums_agree, seed) for seed in range(8)]
    assert all(taskrt.fetch(task) for task in tasks)
