"""Reducing arrays by ufuncs: as NumPy does, up to rounding."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

np = pytest.importorskip("numpy", "2.0")

from support.arrays import VIEWS, is_same, make  # noqa: E402
from support.examples import some_examples  # noqa: E402

from taskrt import parallel  # noqa: E402
from taskrt.parallel import _array_reduce  # noqa: E402

EXACT = ["i1", "i4", "i8", "u2", "u8", "?", ">i4"]
OPS = [
    *(np.add, np.multiply, np.minimum, np.maximum, np.gcd),
    *(np.logical_and, np.logical_or, np.logical_xor),
    *(np.bitwise_and, np.bitwise_or, np.bitwise_xor),
]
AXES = [None, 0, 1, 2, -1]


@pytest.fixture
def small_blocks(
    monkeypatch: pytest.MonkeyPatch, set_num_threads: Callable[[int], object]
) -> None:
    """Let short arrays take the ways of long ones."""
    monkeypatch.setattr(_array_reduce, "BLOCK_BYTES", 64)
    monkeypatch.setattr(_array_reduce, "WIDTH", 2)
    set_num_threads(3)


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_exact_types_give_what_numpy_gives(
    small_blocks: None, op: Any, dtype: str
) -> None:
    array = make(dtype, 600, 3).reshape(5, 60, 2)
    for axis in AXES:
        row = array.reshape(-1) if axis is None else array
        try:
            expected = op.reduce(row, axis=axis or 0)
        except TypeError:
            with pytest.raises(TypeError):
                parallel.reduce(op, array, axis=axis)
            continue
        assert is_same(parallel.reduce(op, array, axis=axis), expected)
        turned = np.asfortranarray(array)
        assert is_same(parallel.reduce(op, turned, axis=axis), expected)


def test_ufunc_that_numpy_applies_to_one_axis_reduces_all(small_blocks: None) -> None:
    array = np.arange(1, 21).reshape(4, 5)
    for layout in (array, np.asfortranarray(array)):
        assert parallel.reduce(np.lcm, layout, axis=None) == 232_792_560


@some_examples(60)
@given(data=st.data())
def test_any_shape_along_any_axis(small_blocks: None, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=9))
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    array = np.arange(int(np.prod(shape))).reshape(shape)
    grain = data.draw(st.one_of(st.none(), st.integers(1, 5)))
    found = parallel.reduce(np.add, array, axis=axis, grain=grain)
    assert is_same(found, np.add.reduce(array, axis=axis))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "c8", "c16"])
@pytest.mark.parametrize("op", [np.add, np.multiply, np.minimum, np.maximum])
def test_inexact_types_give_nearly_what_numpy_gives(
    threads: int, op: Any, dtype: str
) -> None:
    array = (1 + np.random.default_rng(1).random((300, 200)) / 1e5).astype(dtype)
    if op is np.multiply and dtype == "f2":
        array[:] = 1
    for axis in (None, 0, 1):
        found = parallel.reduce(op, array, axis=axis)
        expected = op.reduce(array, axis=axis)
        assert found.dtype == expected.dtype
        assert np.allclose(found, expected, rtol=1e-3 if dtype == "f2" else 1e-4)


def test_long_sums_and_extremes_are_right(threads: int) -> None:
    array = np.random.default_rng(1).integers(-1000, 1000, 1_000_000)
    assert parallel.reduce(np.add, array) == array.sum()
    assert parallel.reduce(np.maximum, array.reshape(1000, -1), axis=None) == 999
    rows = parallel.reduce(np.add, array.reshape(1000, -1), axis=1)
    assert is_same(rows, array.reshape(1000, -1).sum(1))


def test_sum_of_half_precision_is_rounded_once() -> None:
    array = np.tile(np.array([60000, 60000, -60000, -60000], "f2"), 200_000)
    assert parallel.reduce(np.add, array) == 0
    assert parallel.reduce(np.add, np.full(3, 0.1, "f2")).dtype == np.float16


@pytest.mark.parametrize("view", VIEWS)
def test_views_of_any_layout(small_blocks: None, view: str) -> None:
    array = VIEWS[view](make("i4", 600).reshape(3, 4, 50))
    for axis in AXES:
        found = parallel.reduce(np.add, array, axis=axis)
        assert is_same(found, np.add.reduce(array, axis=axis))


def test_nan_and_times(small_blocks: None) -> None:
    array = make("f8", 200)
    assert np.isnan(parallel.reduce(np.maximum, array))
    assert parallel.reduce(np.fmax, array) == np.inf
    times = make("m8[ms]", 200)
    assert np.isnat(parallel.reduce(np.add, times))
    times = times[~np.isnat(times)]
    assert parallel.reduce(np.add, times) == times.sum()


def test_initial_is_left_of_all_items(small_blocks: None) -> None:
    array = np.arange(100)
    assert parallel.reduce(np.add, array, initial=5) == 4955
    assert parallel.reduce(np.minimum, array, initial=-7) == -7
    assert parallel.reduce(np.minimum, array[:0], initial=3) == 3
    found = parallel.reduce(np.add, array.reshape(50, 2), initial=1)
    assert found.tolist() == [2451, 2501]


def test_nothing_is_the_identity_if_there_is_one() -> None:
    assert parallel.reduce(np.add, np.empty(0)) == 0
    assert parallel.reduce(np.multiply, np.empty((0, 3))).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="no identity"):
        parallel.reduce(np.minimum, np.empty(0))


def test_array_without_dimensions_is_its_item() -> None:
    for axis in (0, -1, None):
        assert parallel.reduce(np.add, np.array(3), axis=axis) == 3
    with pytest.raises(np.exceptions.AxisError):
        parallel.reduce(np.add, np.array(3), axis=1)


def test_objects_stay_what_they_are(small_blocks: None) -> None:
    smalls = np.empty(40, object)
    smalls[:] = [np.int8(i % 3) for i in range(40)]
    found = parallel.reduce(np.add, smalls, grain=1)
    assert (type(found), found) == (np.int8, 39)
    arrays = np.empty(3, object)
    arrays[:] = [np.ones(2), np.ones((3, 1)), 1]
    found = parallel.reduce(np.add, arrays, grain=1)
    assert is_same(found, np.full((3, 2), 3.0))
    add = np.frompyfunc(lambda x, y: np.int16(x + y), 2, 1)
    found = parallel.reduce(add, np.arange(20), grain=2)
    assert (type(found), found) == (np.int16, 190)


def test_map_is_applied_first(small_blocks: None) -> None:
    array = np.arange(100) - 50
    found = parallel.reduce(np.add, array, map=np.square)
    assert found == (array * array).sum()
    assert parallel.reduce(np.maximum, array, map=np.abs) == 50


def test_order_is_kept_by_what_is_not_commutative(small_blocks: None) -> None:
    join = np.frompyfunc(lambda a, b: a + b, 2, 1)
    texts = np.array([chr(97 + i % 26) for i in range(100)], object)
    assert parallel.reduce(join, texts) == "".join(texts)
    assert parallel.reduce(join, texts, initial=">") == ">" + "".join(texts)


def test_what_is_not_associative_is_refused() -> None:
    for op in (np.subtract, np.divide, np.power, np.less):
        with pytest.raises(ValueError, match=f"{op.__name__} is not associative"):
            parallel.reduce(op, np.arange(3.0))
    with pytest.raises(ValueError, match="op must take two items and give one"):
        parallel.reduce(np.divmod, np.arange(3))


def test_mistakes_are_refused() -> None:
    array = np.arange(3.0)
    with pytest.raises(np.exceptions.AxisError):
        parallel.reduce(np.add, array, axis=1)
    with pytest.raises(ValueError, match="grain must be 1 or more"):
        parallel.reduce(np.add, array, grain=0)
    with pytest.raises(TypeError, match="the mask would be lost"):
        parallel.reduce(np.add, np.ma.zeros(3))


def test_error_of_a_block_is_raised(small_blocks: None) -> None:
    array = np.array([1, "a", *range(200)], object)
    with pytest.raises(TypeError, match="unsupported operand"):
        parallel.reduce(np.add, array)
