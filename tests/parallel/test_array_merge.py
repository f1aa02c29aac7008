"""Merging sorted arrays: stable, in NumPy's order, of the type of concatenate."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

np = pytest.importorskip("numpy", "2.0")

from support.arrays import DTYPES, VIEWS, is_same, make  # noqa: E402
from support.examples import some_examples  # noqa: E402

from taskrt import parallel  # noqa: E402
from taskrt.parallel import _array_merge, _arrays  # noqa: E402

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def small_pieces(
    monkeypatch: pytest.MonkeyPatch, set_num_threads: Callable[[int], object]
) -> None:
    """Let short arrays take the ways of long ones."""
    monkeypatch.setattr(_array_merge, "PIECE", 4)
    monkeypatch.setattr(_arrays, "SERIAL_BYTES", 16)
    set_num_threads(3)


def run(dtype: str, length: int, seed: int = 0) -> Any:
    return np.sort(make(dtype, length, seed), kind="stable")


def merged(a: Any, b: Any) -> Any:
    """Return what is right: a stable sort finds two runs, and merges them."""
    return np.sort(np.concatenate((a, b)), kind="stable")


@each_dtype
@pytest.mark.parametrize(
    "lengths", [(0, 0), (0, 5), (5, 0), (1, 1), (70_000, 50_000), (90_000, 3)]
)
def test_merges_as_a_stable_sort(
    dtype: str, lengths: tuple[int, int], threads: int
) -> None:
    if dtype in ("O", "T", "i4,f8"):  # slow
        lengths = (lengths[0] // 10, lengths[1] // 10)
    a, b = run(dtype, lengths[0], 1), run(dtype, lengths[1], 2)
    before = a.copy(), b.copy()
    assert is_same(parallel.merge(a, b), merged(a, b))
    assert is_same(a, before[0])
    assert is_same(b, before[1])


@some_examples(60)
@given(
    st.sampled_from(DTYPES), st.integers(0, 60), st.integers(0, 60), st.integers(0, 99)
)
def test_pieces_of_any_lengths(
    small_pieces: None, dtype: str, left: int, right: int, seed: int
) -> None:
    a, b = run(dtype, left, seed), run(dtype, right, seed + 1)
    assert is_same(parallel.merge(a, b), merged(a, b))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *(("i4", "f8"), ("u1", "i1"), ("?", "i2"), ("f4", "c8"), ("i8", "u8")),
        *(("S3", "S9"), ("S3", "U5"), ("M8[s]", "M8[D]"), ("m8[s]", "m8[ms]")),
        *((">i4", "<i4"), (">f8", ">f8"), ("f8", "O"), ("f2", "f4"), ("i8", "m8[s]")),
    ],
)
def test_type_is_that_of_concatenate(small_pieces: None, left: str, right: str) -> None:
    a = np.arange(20).astype("i4").astype(left)
    b = np.arange(5, 35).astype("i4").astype("i8" if "8[" in right else right)
    b = b.astype(right)
    if a.dtype.kind in "SU":
        a, b = np.sort(a), np.sort(b)
    expected = merged(a, b)
    found = parallel.merge(a, b)
    assert found.dtype == np.concatenate((a, b)).dtype
    assert np.array_equal(found, expected)


def test_types_without_a_common_one_are_refused() -> None:
    with pytest.raises(TypeError):
        parallel.merge(np.array([1], "M8[s]"), np.array([1.0]))


@each_dtype
@pytest.mark.parametrize("view", VIEWS)
def test_views_of_any_layout(small_pieces: None, dtype: str, view: str) -> None:
    a, b = VIEWS[view](run(dtype, 50, 1)), VIEWS[view](run(dtype, 70, 2))
    expected = merged(a, b)
    out = np.empty(240, expected.dtype)[::2]
    assert parallel.merge(a, b, out=out) is out
    assert is_same(out, expected)


@some_examples(60)
@given(
    st.sampled_from(DTYPES), st.integers(0, 60), st.integers(0, 60), st.integers(0, 99)
)
def test_what_is_not_sorted_does_no_harm(
    small_pieces: None, dtype: str, left: int, right: int, seed: int
) -> None:
    a, b = make(dtype, left, seed), make(dtype, right, seed + 1)
    memory = np.concatenate((make(dtype, 8), np.concatenate((a, b)), make(dtype, 8)))
    parallel.merge(a, b, out=memory[8 : 8 + left + right])
    assert is_same(memory[:8], make(dtype, 8).astype(memory.dtype))
    assert is_same(memory[-8:], make(dtype, 8).astype(memory.dtype))


def test_lists_become_arrays() -> None:
    assert parallel.merge([1, 3], [2.5]).tolist() == [1.0, 2.5, 3.0]


def test_mistakes_are_refused() -> None:
    a, b = np.arange(3.0), np.arange(4.0)
    memory = np.arange(9.0)
    with pytest.raises(ValueError, match=r"a must have one dimension.*\(3, 1\)"):
        parallel.merge(a.reshape(3, 1), b)
    with pytest.raises(ValueError, match=r"b must have one dimension.*\(\)"):
        parallel.merge(a, np.array(1.0))
    with pytest.raises(ValueError, match=r"out has the shape \(6,\)"):
        parallel.merge(a, b, out=np.empty(6))
    with pytest.raises(TypeError, match="out has the dtype float32"):
        parallel.merge(a, b, out=np.empty(7, "f4"))
    with pytest.raises(ValueError, match="out overlaps a in memory"):
        parallel.merge(memory[:3], b, out=memory[:7])
    with pytest.raises(ValueError, match="out overlaps b in memory"):
        parallel.merge(a, memory[:4], out=memory[2:])
    with pytest.raises(TypeError, match="the mask would be lost"):
        parallel.merge(a, np.ma.zeros(3))
    assert memory.tolist() == np.arange(9.0).tolist()


def test_comparison_that_fails_leaves_out_alone(threads: int) -> None:
    out = np.zeros(4, object)
    with pytest.raises(TypeError, match="not supported between"):
        parallel.merge(np.array([1, 2], object), np.array(["a", 3], object), out=out)
    assert out.tolist() == [0, 0, 0, 0]
