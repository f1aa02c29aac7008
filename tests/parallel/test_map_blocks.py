"""A function called on blocks of arrays: what it gets, and where its results go."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

np = pytest.importorskip("numpy", "2.0")

from support.arrays import VIEWS, is_same, make  # noqa: E402
from support.examples import some_examples  # noqa: E402

import taskrt  # noqa: E402
from taskrt import parallel  # noqa: E402
from taskrt.parallel import map_blocks  # noqa: E402


def double(x: Any) -> Any:
    return x * 2


# ---- what the function gets ----------------------------------------------------------


@some_examples(60)
@given(
    shape=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    data=st.data(),
    grain=st.one_of(st.none(), st.integers(1, 20)),
)
def test_blocks_cover_all_and_match(
    set_num_threads: Callable[[int], object],
    shape: list[int],
    data: st.DataObject,
    grain: int | None,
) -> None:
    set_num_threads(3)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    a = np.arange(int(np.prod(shape))).reshape(shape)
    for fn in (np.add, lambda x, y: x + y):
        found = map_blocks(fn, a, a * 10, axis=axis, grain=grain)
        assert is_same(found, a * 11)


@pytest.mark.parametrize("grain", [1, 3, 10, 11])
def test_blocks_have_grain_indices_and_the_last_one_the_rest(grain: int) -> None:
    lengths = []
    map_blocks(lambda x: lengths.append(len(x)), np.arange(10), grain=grain)
    full, rest = divmod(10, grain)
    assert sorted(lengths, reverse=True) == [grain] * full + [rest] * (rest > 0)


def test_blocks_do_not_depend_on_the_number_of_threads(
    set_num_threads: Callable[[int], object],
) -> None:
    def means(x: Any) -> Any:
        return np.full(len(x), x.mean())

    array = np.random.default_rng(1).random(100_000)
    found = []
    for threads in (1, 2, 4):
        set_num_threads(threads)
        found.append(map_blocks(means, array))
    assert is_same(found[0], found[1])
    assert is_same(found[0], found[2])
    assert len(np.unique(found[0])) >= 32


def test_few_indices_are_blocks_of_their_own_where_rows_are_long() -> None:
    lengths = []
    map_blocks(lambda x: lengths.append(len(x)), np.empty((6, 10_000)))
    assert lengths == [1] * 6


def test_scalars_are_handed_to_each_call() -> None:
    array = np.arange(100)
    found = map_blocks(lambda x, y, z: x * y + z, array, 3, np.array(4), grain=9)
    assert is_same(found, array * 3 + 4)
    assert is_same(map_blocks(np.multiply, 3, array, grain=9), array * 3)


def test_arrays_of_several_shapes_match_along_the_axis() -> None:
    points, weights = np.arange(60.0).reshape(20, 3), np.arange(20.0)
    found = map_blocks(lambda p, w: p * w[:, None], points, weights, grain=3)
    assert is_same(found, points * weights[:, None])


def test_array_bound_by_partial_is_handed_over_whole() -> None:
    rows, matrix = np.arange(40.0).reshape(20, 2), np.arange(6.0).reshape(2, 3)
    found = map_blocks(functools.partial(lambda m, x: x @ m, matrix), rows, grain=3)
    assert is_same(found, rows @ matrix)


@pytest.mark.parametrize("view", VIEWS)
def test_views_of_any_layout(threads: int, view: str) -> None:
    array = VIEWS[view](make("i4", 600).reshape(3, 4, 50))
    for axis in range(3):
        for fn in (np.square, double):
            assert is_same(map_blocks(fn, array, axis=axis, grain=1), fn(array))


# ---- where the results go ------------------------------------------------------------


def test_results_may_have_other_shapes_and_types(threads: int) -> None:
    array = np.arange(60.0).reshape(20, 3)
    norms = map_blocks(lambda x: (x * x).sum(1), array, grain=3)
    assert is_same(norms, (array * array).sum(1))
    signs = map_blocks(lambda x: x[:, :1] > 5, array, grain=3)
    assert is_same(signs, array[:, :1] > 5)
    columns = map_blocks(lambda x: x.sum(0, keepdims=True), array, axis=1, grain=1)
    assert is_same(columns, array.sum(0, keepdims=True))


@pytest.mark.parametrize("fn", [np.sqrt, lambda x: np.sqrt(x)])
def test_type_can_be_asked_for(fn: Any) -> None:
    found = map_blocks(fn, np.arange(100.0), dtype="f4", grain=7)
    assert is_same(found, np.sqrt(np.arange(100.0)).astype("f4"))


@pytest.mark.parametrize("fn", [np.sqrt, lambda x: np.sqrt(x)])
def test_results_go_to_out(threads: int, fn: Any) -> None:
    array = np.arange(100.0)
    out = np.empty(200, "f4")[::2]
    assert map_blocks(fn, array, out=out, grain=7) is out
    assert is_same(out, np.sqrt(np.arange(100.0)).astype("f4"))
    assert map_blocks(fn, array, out=array, grain=7) is array
    assert is_same(array, np.sqrt(np.arange(100.0)))


def test_works_in_place_if_all_calls_return_none(threads: int) -> None:
    array = np.arange(100)

    def add_one(x: Any) -> None:
        x += 1

    assert map_blocks(add_one, array, grain=7) is None
    assert is_same(array, np.arange(100) + 1)


@pytest.mark.parametrize("fn", [np.sqrt, lambda x: np.sqrt(x)])
def test_nothing_gives_nothing_of_the_right_type(fn: Any) -> None:
    assert is_same(map_blocks(fn, np.empty((0, 3))), np.empty((0, 3)))
    assert is_same(map_blocks(fn, np.empty((0, 3), "f4")), np.empty((0, 3), "f4"))


def test_objects_are_results_too(threads: int) -> None:
    array = np.arange(50)
    found = map_blocks(np.frompyfunc(str, 1, 1), array, grain=7)
    assert is_same(found, array.astype("U2").astype(object))


# ---- mistakes ------------------------------------------------------------------------

TEN = np.arange(10.0)


@pytest.mark.parametrize(
    ("fn", "error", "message"),
    [
        (lambda x: 1.5, TypeError, "must return an array or None, .* 'float'"),
        (lambda x: x.sum(), TypeError, "must return an array or None"),
        (lambda x: x[:-1], ValueError, r"shape \(4,\) for a block of length 5"),
        (lambda x: x.sum(keepdims=True), ValueError, r"shape \(1,\) for a block"),
        (lambda x: np.array(1), ValueError, r"shape \(\) for a block"),
        (lambda x: np.ma.array(x), TypeError, "the mask would be lost"),
        (lambda x: None if x[0] else x, TypeError, "returned None for one block"),
        (lambda x: x if x[0] else None, TypeError, "returned None for one block"),
        (
            lambda x: x if x[0] else x.astype("f4"),
            TypeError,
            "float.. for one block, and float.. for another; give a dtype",
        ),
        (
            lambda x: np.ones((len(x), 2 + int(x[0]))),
            ValueError,
            "results together have the shape",
        ),
    ],
)
def test_results_that_do_not_fit_are_refused(
    threads: int, fn: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        map_blocks(fn, TEN, grain=5)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TypeError, match="give an array"):
        map_blocks(double)
    with pytest.raises(TypeError, match="give an array"):
        map_blocks(double, 3, np.array(1))
    with pytest.raises(ValueError, match=r"\(10,\), \(9,\).*functools.partial"):
        map_blocks(np.add, TEN, TEN[1:])
    with pytest.raises(np.exceptions.AxisError):
        map_blocks(double, TEN, axis=1)
    with pytest.raises(ValueError, match="grain must be 1 or more"):
        map_blocks(double, TEN, grain=0)
    with pytest.raises(TypeError, match="out or dtype, not both"):
        map_blocks(double, TEN, out=TEN, dtype="f4")


@pytest.mark.parametrize("fn", [np.sqrt, lambda x: np.sqrt(x)])
def test_out_that_does_not_fit_is_refused(fn: Any) -> None:
    for out, error, message in (
        ([], TypeError, "out must be a NumPy array"),
        (np.empty(9), ValueError, r"out has the shape \(9,\)"),
        (np.empty((10, 10)), ValueError, r"shape \(10,\), .* \(10, 10\)"),
        (np.empty(10, "i4"), TypeError, "[Cc]annot cast"),
        (TEN[::-1], ValueError, "out overlaps array 0 in memory"),
    ):
        with pytest.raises(error, match=message):
            map_blocks(fn, TEN, out=out)
    assert TEN.tolist() == list(range(10))


def test_ufunc_that_broadcasts_within_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        map_blocks(np.add, np.ones((12, 3)), np.ones(12), grain=3)


# ---- errors of the function ----------------------------------------------------------


@pytest.mark.parametrize("place", [0, 40, 90])
def test_error_of_a_block_is_raised_itself(threads: int, place: int) -> None:
    error = LookupError()

    def fail(x: Any) -> Any:
        if x[0] == place:
            raise error
        return x

    with pytest.raises(LookupError) as caught:
        map_blocks(fail, np.arange(100), grain=10)
    assert caught.value is error


def test_no_call_runs_after_the_error_is_raised(threads: int) -> None:
    running, lock = set(), threading.Lock()

    def fail(x: Any) -> None:
        with lock:
            running.add(int(x[0]))
        for _ in range(10):
            taskrt.yield_now()
        with lock:
            running.remove(int(x[0]))
        if x[0] >= 30:
            raise LookupError

    with pytest.raises(LookupError):
        map_blocks(fail, np.arange(100), grain=5)
    assert not running


def test_cancelled_between_blocks(threads: int) -> None:
    calls = []

    def cancel(x: Any) -> None:
        calls.append(int(x[0]))
        scope.cancel()

    with taskrt.CancelScope() as scope:
        map_blocks(cancel, np.arange(1000), grain=1)
    assert scope.cancelled_caught
    assert 1 <= len(calls) <= threads


def test_error_state_of_numpy_holds_in_the_calls(threads: int) -> None:
    zeros = np.zeros(100)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        map_blocks(np.log, zeros, grain=10)
    with np.errstate(divide="ignore"):
        assert (map_blocks(np.log, zeros, grain=10) == -np.inf).all()


def test_calls_may_call_it_again(threads: int) -> None:
    array = np.arange(60).reshape(6, 10)
    found = map_blocks(lambda x: map_blocks(double, x, axis=1, grain=3), array, grain=1)
    assert is_same(found, array * 2)
    assert (
        parallel.map(
            lambda row: int(map_blocks(double, row, grain=3).sum()), list(array)
        )
        == (array * 2).sum(1).tolist()
    )
