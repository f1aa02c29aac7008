"""Sorting arrays: as NumPy's stable sort, whatever their type, shape and memory."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.child import run_script
from support.examples import some_examples

np = pytest.importorskip("numpy", "2.0")

from hypothesis.extra import numpy as hnp  # noqa: E402
from support.arrays import DTYPES, VIEWS, is_same, make  # noqa: E402

import taskrt  # noqa: E402
from taskrt import parallel  # noqa: E402
from taskrt.parallel import (  # noqa: E402
    _array_merge,
    _array_rows,
    _arrays,
)

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
KINDS = [None, "quicksort", "heapsort", "mergesort", "stable"]


@pytest.fixture
def small_pieces(
    monkeypatch: pytest.MonkeyPatch, set_num_threads: Callable[[int], object]
) -> None:
    """Let short arrays take the ways of long ones."""
    monkeypatch.setattr(_array_rows, "LONG", 16)
    monkeypatch.setattr(_array_rows, "BLOCK", 8)
    monkeypatch.setattr(_array_merge, "PIECE", 4)
    monkeypatch.setattr(_arrays, "SERIAL_BYTES", 16)
    monkeypatch.setattr(_arrays, "BLOCK_BYTES", 64)
    set_num_threads(3)


@pytest.fixture(params=["whole", "small pieces"])
def pieces(request: pytest.FixtureRequest) -> None:
    if request.param == "small pieces":
        request.getfixturevalue("small_pieces")


def any_array(**shape: int) -> st.SearchStrategy[Any]:
    """Draw arrays of every type, with few different items."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, **{"min_side": 0, **shape})
    return st.builds(
        lambda dtype, shape, seed: make(dtype, int(np.prod(shape)), seed).reshape(
            shape
        ),
        st.sampled_from(DTYPES),
        shapes,
        st.integers(0, 1000),
    )


def axes(array: Any) -> st.SearchStrategy[int]:
    return st.integers(-array.ndim, array.ndim - 1)


# ---- as NumPy ------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("length", [0, 1, 2, 100, 40_000])
def test_sorts_as_numpy(dtype: str, length: int, threads: int) -> None:
    array = make(dtype, length)
    before = array.copy()
    assert is_same(parallel.sort(array), np.sort(array, kind="stable"))
    assert is_same(array, before)


@each_dtype
@pytest.mark.parametrize("length", [0, 1, 100, 40_000])
def test_finds_the_order_as_numpy(dtype: str, length: int, threads: int) -> None:
    array = make(dtype, length)
    found = parallel.argsort(array)
    assert found.dtype == np.intp
    assert is_same(found, np.argsort(array, kind="stable"))


@some_examples(60)
@given(data=st.data())
def test_any_shape_along_any_axis(pieces: None, data: st.DataObject) -> None:
    array = data.draw(any_array(max_side=40))
    axis = data.draw(axes(array))
    assert is_same(parallel.sort(array, axis), np.sort(array, axis=axis, kind="stable"))
    order = np.argsort(array, axis=axis, kind="stable")
    assert is_same(parallel.argsort(array, axis), order)


@some_examples(60)
@given(data=st.data())
def test_axis_none_sorts_all_items_in_one_row(
    pieces: None, data: st.DataObject
) -> None:
    array = data.draw(any_array(max_side=12))
    assert is_same(parallel.sort(array, None), np.sort(array, None, kind="stable"))
    order = np.argsort(array, axis=None, kind="stable")
    assert is_same(parallel.argsort(array, None), order)


@each_dtype
@pytest.mark.parametrize("view", VIEWS)
def test_views_of_any_layout(pieces: None, dtype: str, view: str) -> None:
    array = VIEWS[view](make(dtype, 600).reshape(3, 4, 50))
    for axis in range(3):
        expected = np.sort(array, axis=axis, kind="stable")
        assert is_same(parallel.sort(array, axis), expected)
        order = np.argsort(array, axis=axis, kind="stable")
        assert is_same(parallel.argsort(array, axis), order)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_stable(kind: str | None) -> None:
    zeros = np.where(np.arange(50_000) % 3 == 0, -0.0, 0.0)
    assert is_same(parallel.sort(zeros, kind=kind), zeros)
    assert is_same(parallel.argsort(zeros, kind=kind), np.arange(50_000))


def test_what_is_no_array_yet_becomes_one_where_only_arrays_are_meant() -> None:
    assert parallel.argsort([3, 1, 2]).tolist() == [1, 2, 0]


def test_array_without_dimensions_has_no_axis_but_one_item() -> None:
    with pytest.raises(np.exceptions.AxisError):
        parallel.sort(np.array(3))
    assert parallel.sort(np.array(3), None).tolist() == [3]
    for axis in (None, 0, -1):
        assert is_same(
            parallel.argsort(np.array(3), axis), np.argsort(np.array(3), axis)
        )


def test_subclasses_come_back_as_plain_arrays() -> None:
    matrix = np.arange(6)[::-1].reshape(2, 3).view(np.matrix)
    found = parallel.sort(matrix)
    assert type(found) is np.ndarray
    assert found.tolist() == [[3, 4, 5], [0, 1, 2]]


# ---- reverse and key -----------------------------------------------------------------


@each_dtype
def test_reverse_keeps_equals_in_order_and_nan_last(pieces: None, dtype: str) -> None:
    if np.dtype(dtype).kind == "c":
        pytest.skip("complex numbers with a NaN have an order among themselves")
    array = make(dtype, 500)
    nan = array != array if np.dtype(dtype).kind in "fmM" else np.zeros(500, bool)
    numbers = [i for i in range(500) if not nan[i]]
    rank = np.empty(500, int)
    rank[np.argsort(array, kind="stable")] = np.cumsum(
        [
            0,
            *(
                array[a] != array[b]
                for a, b in itertools.pairwise(np.argsort(array, kind="stable"))
            ),
        ]
    )
    order = sorted(numbers, key=rank.__getitem__, reverse=True)
    order += [i for i in range(500) if nan[i]]
    assert is_same(parallel.sort(array, reverse=True), array[order])
    assert is_same(parallel.sort(array, key=lambda a: a, reverse=True), array[order])


def test_complex_nan_comes_last_in_reverse(pieces: None) -> None:
    array = make("c16", 500)
    found = parallel.sort(array, reverse=True)
    count = np.isnan(array).sum()
    assert not np.isnan(found[:-count]).any()
    assert np.isnan(found[-count:]).all()
    good = array[~np.isnan(array)]
    assert np.array_equal(found[:-count], np.sort(good)[::-1])


@some_examples(60)
@given(data=st.data())
def test_key_is_called_once_with_the_whole_array(
    pieces: None, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 1000))
    shapes = [(4, 30), (120, 1), (1, 120), (3, 1, 40), (1, 120, 1)]
    array = make("i4", 120, seed).reshape(data.draw(st.sampled_from(shapes)))
    axis = data.draw(st.integers(-1, array.ndim - 1))
    calls = []

    def key(a: Any) -> Any:
        calls.append(a.shape)
        return abs(a) % 7

    found = parallel.sort(array, axis, key=key)
    assert calls == [array.shape]
    order = np.argsort(abs(array) % 7, axis=axis, kind="stable")
    assert is_same(found, np.take_along_axis(array, order, axis))


def test_key_in_place(threads: int) -> None:
    array = make("f8", 100_000)
    expected = array[np.argsort(np.abs(array), kind="stable")]
    assert parallel.sort(array, key=np.abs, out=array) is array
    assert is_same(array, expected)


def test_key_that_is_meant_for_one_item_is_refused() -> None:
    with pytest.raises(ValueError, match="with the whole array, not with each item"):
        parallel.sort(np.array(["b", "a"]), key=len)


# ---- where the result goes -----------------------------------------------------------


@each_dtype
def test_in_place(pieces: None, dtype: str) -> None:
    array = make(dtype, 3000)
    expected = np.sort(array, kind="stable")
    assert parallel.sort(array, out=array) is array
    assert is_same(array, expected)


@each_dtype
@pytest.mark.parametrize("axis", [0, 1])
def test_in_place_on_a_view_changes_nothing_beside_it(
    pieces: None, dtype: str, axis: int
) -> None:
    whole = make(dtype, 1200).reshape(30, 40)
    expected = whole.copy()
    expected[::2, 10:30] = np.sort(whole[::2, 10:30], axis=axis, kind="stable")
    view = whole[::2, 10:30]
    parallel.sort(view, axis, out=view)
    assert is_same(whole, expected)


@each_dtype
def test_out_of_place_into_an_array(pieces: None, dtype: str) -> None:
    array = make(dtype, 400).reshape(20, 20)
    out = np.empty_like(array)[::-1]
    assert parallel.sort(array, 0, out=out) is out
    assert is_same(out, np.sort(array, axis=0, kind="stable"))


NUMBERS = np.arange(10.0)[::-1]


def read_only() -> Any:
    array = np.empty(10)
    array.flags.writeable = False
    return array


REFUSED = {
    "list": ([], TypeError, "out must be a NumPy array, not 'list'"),
    "masked": (np.ma.zeros(10), TypeError, "out must be a NumPy array"),
    "shape": (np.empty(9), ValueError, r"shape \(9,\), and the result has \(10,\)"),
    "dtype": (np.empty(10, "f4"), TypeError, "float32, and the result has float64"),
    "order": (np.empty(10, ">f8"), TypeError, "dtype >f8"),
    "read-only": (read_only(), ValueError, "read-only"),
    "one place": (
        np.lib.stride_tricks.as_strided(np.empty(1), (10,), (0,)),
        ValueError,
        "several items of out are at one place",
    ),
    "overlap": (NUMBERS[::-1], ValueError, "out overlaps a in memory"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_out_that_will_not_do_is_refused(name: str) -> None:
    out, error, message = REFUSED[name]
    before = NUMBERS.copy()
    with pytest.raises(error, match=message):
        parallel.sort(NUMBERS, out=out)
    assert is_same(NUMBERS, before)


# ---- mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize("sort", [parallel.sort, parallel.argsort])
def test_options_that_are_none_are_refused(sort: Callable[..., Any]) -> None:
    with pytest.raises(np.exceptions.AxisError):
        sort(NUMBERS, 1)
    with pytest.raises(TypeError):
        sort(NUMBERS, 0.5)
    with pytest.raises(ValueError, match="kind must be one of 'quicksort'.*'fast'"):
        sort(NUMBERS, kind="fast")
    with pytest.raises(TypeError, match="kind must be a string or None, not 'int'"):
        sort(NUMBERS, kind=3)


@pytest.mark.parametrize("sort", [parallel.sort, parallel.argsort])
def test_masked_array_is_refused(sort: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="the mask would be lost"):
        sort(np.ma.masked_array([1, 2], [True, False]))


@pytest.mark.parametrize("length", [10, 40_000])
def test_comparison_that_fails_changes_nothing(threads: int, length: int) -> None:
    array = np.array([*range(length), "a", *range(length)], object)
    before = array.copy()
    with pytest.raises(TypeError, match="not supported between"):
        parallel.sort(array, out=array)
    assert is_same(array, before)
    with pytest.raises(TypeError, match="not supported between"):
        parallel.argsort(array)


class Slow:
    """An object whose comparison lets other tasks run."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __lt__(self, other: "Slow") -> bool:
        taskrt.yield_now()
        return self.value < other.value


def test_comparison_may_suspend(threads: int) -> None:
    array = np.array([Slow(x % 50) for x in range(300)], object)
    tasks = [taskrt.spawn(parallel.sort, array) for _ in range(4)]
    for found in taskrt.fetch_all(tasks):
        assert [x.value for x in found] == sorted(x % 50 for x in range(300))


# ---- among other tasks ---------------------------------------------------------------


def test_sorts_within_tasks_at_once(threads: int) -> None:
    arrays = [make(dtype, 50_000, seed) for seed, dtype in enumerate(["f8", "U5"] * 4)]
    found = taskrt.fetch_all([taskrt.spawn(parallel.sort, a) for a in arrays])
    for array, result in zip(arrays, found, strict=True):
        assert is_same(result, np.sort(array, kind="stable"))


@pytest.mark.isolated
def test_numpy_is_imported_for_arrays_alone() -> None:
    run_script(
        """
        import sys
        from taskrt import parallel
        assert parallel.sort([3, 1, 2]) == [1, 2, 3]
        assert parallel.reduce(max, [3, 1, 2]) == 3
        assert parallel.map(abs, [-1]) == [1]
        assert "numpy" not in sys.modules
        assert parallel.argsort([3, 1, 2]).tolist() == [1, 2, 0]
        assert "numpy" in sys.modules
        """
    )


@pytest.mark.isolated
def test_without_numpy_the_message_says_what_to_install() -> None:
    run_script(
        """
        import sys
        sys.modules["numpy"] = None
        from taskrt import parallel
        for fn in (parallel.argsort, parallel.cumsum, lambda x: parallel.merge(x, x)):
            try:
                fn([1])
            except ModuleNotFoundError as error:
                assert "pip install numpy" in str(error), error
                assert error.name == "numpy"
            else:
                raise AssertionError
        assert parallel.sort([2, 1]) == [1, 2]
        """
    )
