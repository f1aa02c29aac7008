"""Running sums of arrays: as NumPy's where that is exact, and monotone."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

np = pytest.importorskip("numpy", "2.0")

from support.arrays import VIEWS, is_same, make  # noqa: E402
from support.examples import some_examples  # noqa: E402

from taskrt import parallel  # noqa: E402
from taskrt.parallel import _array_cumsum  # noqa: E402

EXACT = ["?", "i1", "i2", "i4", "i8", "u1", "u8", ">i4", "m8[ms]", ">m8[s]", "O"]


@pytest.fixture
def small_blocks(
    monkeypatch: pytest.MonkeyPatch, set_num_threads: Callable[[int], object]
) -> None:
    """Let short arrays take the ways of long ones."""
    monkeypatch.setattr(_array_cumsum, "BLOCK", 8)
    set_num_threads(3)


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 1000])
def test_exact_types_give_what_numpy_gives(
    small_blocks: None, dtype: str, length: int
) -> None:
    array = make(dtype, length)
    assert is_same(parallel.cumsum(array), np.cumsum(array))


@pytest.mark.parametrize("dtype", ["i4", "u8"])
def test_long_arrays_of_exact_types(threads: int, dtype: str) -> None:
    array = make(dtype, 1_000_003)
    assert is_same(parallel.cumsum(array), np.cumsum(array))


@some_examples(60)
@given(data=st.data())
def test_any_shape_along_any_axis(small_blocks: None, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=40))
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    array = np.arange(int(np.prod(shape)), dtype="i4").reshape(shape)
    assert is_same(parallel.cumsum(array, axis), np.cumsum(array, axis))


def test_array_without_dimensions_has_one_item() -> None:
    for axis in (None, 0, -1):
        assert is_same(parallel.cumsum(np.array(3), axis), np.cumsum(np.array(3)))


@pytest.mark.parametrize("view", VIEWS)
def test_views_of_any_layout(small_blocks: None, view: str) -> None:
    array = VIEWS[view](make("i4", 600).reshape(3, 4, 50))
    for axis in (None, 0, 1, 2):
        assert is_same(parallel.cumsum(array, axis), np.cumsum(array, axis))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "c16"])
def test_inexact_types_give_nearly_what_numpy_gives(threads: int, dtype: str) -> None:
    array = np.random.default_rng(1).random(50 if dtype == "f2" else 300_000)
    array = array.astype(dtype)
    found = parallel.cumsum(array)
    assert found.dtype == array.dtype
    assert np.allclose(found, np.cumsum(array), rtol=1e-3 if dtype == "f4" else 1e-9)


def test_first_block_is_rounded_as_numpy_does() -> None:
    array = np.random.default_rng(1).random(100_000)
    same = _array_cumsum.BLOCK
    assert is_same(parallel.cumsum(array)[:same], np.cumsum(array)[:same])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_of_what_is_not_negative_never_decrease(threads: int, dtype: str) -> None:
    rng = np.random.default_rng(1)
    array = (rng.random(400_000) * 10.0 ** rng.integers(-9, 9, 400_000)).astype(dtype)
    found = parallel.cumsum(array)
    assert (found[1:] >= found[:-1]).all()
    assert (np.diff(parallel.cumsum(np.where(array > 1, 0, array))) >= 0).all()


def test_type_can_be_asked_for(small_blocks: None) -> None:
    array = make("i1", 100)
    for dtype in ("f4", "i8", "u1", "c16"):
        assert is_same(
            parallel.cumsum(array, dtype=dtype), np.cumsum(array, dtype=dtype)
        )


def test_in_place_and_into_an_array(small_blocks: None) -> None:
    array = make("i8", 300).reshape(10, 30)
    expected = np.cumsum(array, 1)
    out = np.empty((10, 60), "i8")[:, ::2]
    assert parallel.cumsum(array, 1, out=out) is out
    assert is_same(out, expected)
    assert parallel.cumsum(array, 1, out=array) is array
    assert is_same(array, expected)


def test_mistakes_are_refused() -> None:
    array = np.arange(10)
    with pytest.raises(np.exceptions.AxisError):
        parallel.cumsum(array, 1)
    with pytest.raises(TypeError, match="out has the dtype float64"):
        parallel.cumsum(array, out=np.empty(10))
    with pytest.raises(ValueError, match=r"out has the shape \(9,\)"):
        parallel.cumsum(array, out=np.empty(9, array.dtype))
    with pytest.raises(ValueError, match="out overlaps a in memory"):
        parallel.cumsum(array, out=array[::-1])
    with pytest.raises(TypeError):
        parallel.cumsum(np.array(["a"]))
    with pytest.raises(TypeError, match="the mask would be lost"):
        parallel.cumsum(np.ma.zeros(3))
    assert array.tolist() == list(range(10))


def test_inside_tasks_at_once(threads: int) -> None:
    array = make("i8", 200_000)
    for found in parallel.map(lambda _: parallel.cumsum(array), range(6), grain=1):
        assert is_same(found, np.cumsum(array))
