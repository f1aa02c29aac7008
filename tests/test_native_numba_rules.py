"""Native tasks in Numba: failures, broken rules, cfuncs and the cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.child import run_script

np = pytest.importorskip("numpy")
numba = pytest.importorskip("numba", "0.63")

from numba import carray, cfunc, njit  # noqa: E402

import taskrt  # noqa: E402
from taskrt import CancelledError, _numba, fetch, native  # noqa: E402
from taskrt.native_numba import cancelled, join, run, spawn  # noqa: E402

FIB_20 = 6765
TASK = "int32(voidptr, voidptr)"


@njit
def fib(context, n):
    if n < 2:
        return n
    child = spawn(context, fib, n - 1)
    mine = fib(context, n - 2)
    return join(context, child) + mine


# --- failures -------------------------------------------------------------------------


@njit
def fails(context, n):
    if n == 0:
        raise ValueError("zero", n)
    child = spawn(context, fails, n - 1)
    join(context, child)


def test_failure_below_is_raised() -> None:
    with pytest.raises(ValueError) as caught:
        run(fails, 5)
    assert caught.value.args == ("zero", 0)
    with pytest.raises(ValueError):
        fetch(taskrt.spawn(run, fails, 5))


@njit
def catches(context, n):
    child = spawn(context, fails, n)
    try:
        join(context, child)
    except Exception:
        return "caught"
    return "nothing to catch"


def test_failure_of_a_child_can_be_caught() -> None:
    assert run(catches, 3) == "caught"


@cfunc(TASK)
def guarded_root(context, data):
    try:
        fails(context, 3)
    except Exception:
        return 7
    return 0


def test_cfunc_returns_a_status() -> None:
    with pytest.raises(native.NativeError) as caught:
        native.run(guarded_root)
    assert caught.value.status == 7


@njit
def marks(context, marked):
    fib(context, 20)
    marked[0] += 1


@njit
def forgets(context, marked, how):
    spawn(context, marks, marked)
    if how == 1:
        raise ValueError("one")
    spawn(context, marks, marked)


@pytest.mark.usefixtures("threads")
def test_children_that_are_not_joined_end_with_their_parent() -> None:
    marked = np.zeros(1)
    run(forgets, marked, 0)
    assert marked[0] == 2
    with pytest.raises(ValueError, match="one"):
        run(forgets, marked, 1)
    assert marked[0] == 3


@njit
def spawns_twice(context, n):
    child = spawn(context, fib, 0)
    for i in range(n):
        child = spawn(context, fib, i)
    return join(context, child)


@njit
def joins_twice(context, n):
    child = spawn(context, fib, n)
    return join(context, child) + join(context, child)


@njit
def joins_oldest_first(context, n):
    older = spawn(context, fib, n)
    newer = spawn(context, fib, n)
    return join(context, older) + join(context, newer)


@njit
def joins_what_few_spawn(context, n):
    if n > 12:
        child = spawn(context, fib, n)
    return join(context, child)


@njit
def joins_after_a_loop(context, n):
    for i in range(12, n):
        child = spawn(context, fib, i)
    return join(context, child)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("function", "says"),
    [
        (spawns_twice, "spawn has not been joined: .* has one child at a time"),
        (joins_what_few_spawn, "no child to join: nothing was spawned"),
        (joins_after_a_loop, "no child to join: nothing was spawned"),
        (joins_twice, "not the newest child"),
        (joins_oldest_first, "not the newest child"),
    ],
)
def test_broken_rule_is_told(function: Callable[..., object], says: str) -> None:
    for _ in range(10):
        with pytest.raises(RuntimeError, match=says):
            run(function, 12)
    assert run(fib, 20) == FIB_20


@njit
def until_cancelled(context, started):
    started[0] = 1
    while not cancelled(context):
        pass
    return 1


def test_cancelled_work_is_told() -> None:
    started = np.zeros(1)
    task = taskrt.spawn(run, until_cancelled, started)

    def cancel() -> None:
        while not started[0]:
            time.sleep(0.001)
        task.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledError):
        fetch(task)
    thread.join()
    assert not run(asks, 0)


@njit
def asks(context, n):
    return cancelled(context)


# --- numba.cfunc in taskrt.native -----------------------------------------------------


@cfunc("int64(voidptr, voidptr)")
def returns_a_long(context, data):
    return 0


@cfunc("int32(voidptr)")
def takes_too_little(context):
    return 0


@cfunc("void(voidptr, voidptr)")
def returns_nothing(context, data):
    pass


@cfunc("int32(voidptr, float64)")
def takes_a_float(context, data):
    return 0


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (returns_a_long, r"i64 \(p, p\)"),
        (takes_too_little, r"i32 \(p\)"),
        (returns_nothing, r"void \(p, p\)"),
        (takes_a_float, r"i32 \(p, float64\)"),
    ],
)
def test_cfunc_of_another_signature(function: object, found: str) -> None:
    with pytest.raises(TypeError, match=rf"i32 \(p, p\) is needed.* has {found}"):
        native.spawn(function)


def test_njit_is_no_native_function() -> None:
    with pytest.raises(TypeError, match=r"numba.cfunc.* not 'CPUDispatcher'"):
        native.spawn(fib)


@cfunc("int32(voidptr, int64, int64, voidptr)")
def squares(context, begin, end, data):
    numbers = carray(data, 1000, np.int64)
    for i in range(begin, end):
        numbers[i] = i * i
    return 0


@cfunc("int32(voidptr, int64, int64, voidptr, voidptr)")
def add_part(context, begin, end, acc, data):
    total, numbers = carray(acc, 1, np.int64), carray(data, 1000, np.int64)
    for i in range(begin, end):
        total[0] += numbers[i]
    return 0


@cfunc("void(voidptr, voidptr, voidptr)")
def add_sums(acc, after, data):
    carray(acc, 1, np.int64)[0] += carray(after, 1, np.int64)[0]


def test_loops_take_cfuncs() -> None:
    numbers = np.zeros(1000, np.int64)
    native.for_range(squares, 0, 1000, numbers)
    assert (numbers == np.arange(1000) ** 2).all()
    total = np.zeros(1, np.int64)
    native.reduce(add_part, add_sums, 0, 1000, total, numbers)
    assert total[0] == numbers.sum()
    with pytest.raises(TypeError, match=r"i32 \(p, i64, i64, p\) is needed"):
        native.for_range(add_part, 0, 1000, numbers)


# --- Numba's cache --------------------------------------------------------------------

CACHED = """
import sys

from numba import njit

from taskrt import _numba
from taskrt.native_numba import join, run, spawn

_numba.LAYOUT = int(sys.argv[1])

@njit(cache=True)
def fib(context, n):
    if n < 2:
        return n
    child = spawn(context, fib, n - 1)
    mine = fib(context, n - 2)
    return join(context, child) + mine

print(run(fib, 20), sum(fib.stats.cache_hits.values()))
"""


@pytest.mark.isolated
def test_cached_code_is_used_unless_the_layout_has_changed(tmp_path: Path) -> None:
    script = tmp_path / "cached.py"
    script.write_text(CACHED)
    env = {"NUMBA_CACHE_DIR": str(tmp_path)}
    now = str(_numba.LAYOUT)
    for hits in range(2):
        assert run_script(script, now, env=env).stdout == f"{FIB_20} {hits}\n"
    result = run_script(script, "0", env=env, expect=1)
    assert "compiled for another version of taskrt: clear the cache" in result.stderr
