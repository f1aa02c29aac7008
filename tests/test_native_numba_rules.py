"""Native tasks in Numba: failures, broken rules, mistakes, cfuncs and the cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.child import run_script

np = pytest.importorskip("numpy")
numba = pytest.importorskip("numba", "0.63")

from numba import carray, cfunc, njit, prange  # noqa: E402
from numba.core.errors import NumbaError, TypingError  # noqa: E402

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


# --- mistakes that are found while compiling, or before -------------------------------


@njit
def spawns_a_number(context):
    return spawn(context, 3)


@njit
def joins_a_number(context):
    return join(context, 3)


@njit
def spawns_with_a_keyword(context):
    return spawn(context, fib, n=3)


@njit
def spawns_nothing(context):
    return spawn(context)


@njit
def joins_without_context(context, n):
    return join(spawn(context, fib, n))


@njit
def asks_nobody(context):
    return cancelled()


@njit
def asks_twice(context):
    return cancelled(context, context)


@njit
def joins_with_a_number(context, n):
    return join(n, spawn(context, fib, n))


@njit("int64(int64, int64)")
def takes_a_number_for_the_context(context, n):
    return n


@njit("int64(voidptr, float64[:])")
def takes_floats(context, numbers):
    return len(numbers)


@njit
def takes_the_rest(context, *rest):
    return len(rest)


def spawner_of(function: Callable[..., object]) -> Callable[..., object]:
    """Return a task that passes its argument on to a child."""

    @njit
    def spawns(context, value):
        return join(context, spawn(context, function, value))

    return spawns


@njit
def adds_apples_and_pears(context, n):
    return n.apples + n.pears


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ((spawns_a_number,), "compiled by numba.njit is needed"),
        ((joins_a_number,), "child that spawn has returned is needed"),
        ((spawns_with_a_keyword,), "no keyword arguments"),
        ((spawns_nothing,), r"as spawn\(context, function, \*args\), not with 1 arg"),
        ((joins_without_context, 3), r"as join\(context, child\), not with 1 arg"),
        ((asks_nobody,), r"as cancelled\(context\), not with 0 arguments"),
        ((asks_twice,), r"as cancelled\(context\), not with 2 arguments"),
        ((joins_with_a_number, 3), "join needs the context that .* not int64"),
        ((fib,), "missing a required argument"),
        ((marks, [1.0, 2.0]), "cannot go to another task"),
        ((takes_the_rest, 3), "needs a value for each of its parameters"),
        ((fib, object()), "Cannot determine Numba type of <class 'object'>"),
        ((adds_apples_and_pears, 3), "Unknown attribute 'apples' of type int64"),
        ((spawner_of(adds_apples_and_pears), 3), "Unknown attribute 'apples'"),
    ],
)
def test_mistake_that_the_compiler_finds(call: tuple[Any, ...], says: str) -> None:
    with pytest.raises(TypingError, match=says) as caught:
        run(*call)
    assert "_record_new" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ((takes_a_number_for_the_context, 3), "voidptr in a signature, not int64"),
        ((takes_floats, np.arange(3)), r"no signature for \(void\*, array\(int64"),
    ],
)
def test_signature_that_does_not_fit(call: tuple[Any, ...], says: str) -> None:
    function, value = call
    for begin in (function, spawner_of(function)):
        with pytest.raises(TypingError, match=f"{function.__name__} .*{says}"):
            run(begin, value)
    assert run(spawner_of(takes_floats), np.arange(3.0)) == 3


def test_function_that_is_not_compiled() -> None:
    with pytest.raises(TypeError, match="numba.njit is needed, not 'function'"):
        run(fib.py_func, 3)


@pytest.mark.isolated  # where it is not refused, the process ends
def test_number_for_a_context_is_refused() -> None:
    run_script(
        """
        from numba import njit
        from numba.core.errors import TypingError

        import taskrt
        from taskrt.native_numba import cancelled, join, spawn

        @njit
        def fib(context, n):
            if n < 2:
                return n
            child = spawn(context, fib, n - 1)
            mine = fib(context, n - 2)
            return join(context, child) + mine

        @njit
        def asks(context):
            return cancelled(context)

        @njit("int64(voidptr)")
        def compiled_before(context):
            return cancelled(context)

        calls = [
            ("spawn", lambda: fib(0, 20)),
            ("spawn", lambda: fib(12345, 10)),
            ("spawn", lambda: taskrt.fetch(taskrt.spawn(fib, 0, 3))),
            ("spawn", lambda: fib(None, 3)),
            ("cancelled", lambda: asks(3)),
        ]
        for name, call in calls:
            says = f"{name} needs the context that taskrt.native_numba.run passes, not "
            try:
                call()
            except TypingError as error:
                assert says in str(error), error
            else:
                raise AssertionError(name)
        try:
            compiled_before(3)
        except TypeError as error:
            assert "can't unbox" in str(error)
        else:
            raise AssertionError
        """
    )


@njit(parallel=True)
def spawns_in_prange(context, n):
    total = 0
    for i in prange(n):
        child = spawn(context, fib, i)
        total += join(context, child)
    return total


@njit(parallel=True)
def joins_in_prange(context, n):
    child = spawn(context, fib, n)
    total = 0
    for _ in prange(n):
        total += join(context, child)
    return total


@njit(parallel=True)
def asks_in_prange(context, n):
    total = 0
    for _ in prange(n):
        total += cancelled(context)
    return total


@njit(parallel=True)
def calls_in_prange(context, n):
    total = 0
    for i in prange(n):
        total += fib(context, i)
    return total


@njit
def calls_what_does(context, n):
    return calls_in_prange(context, n)


@pytest.mark.parametrize(
    "function",
    [
        spawns_in_prange,
        joins_in_prange,
        asks_in_prange,
        calls_in_prange,
        calls_what_does,
    ],
)
def test_context_in_a_parallel_loop_of_numba_is_refused(
    function: Callable[..., object],
) -> None:
    for begin in (function, spawner_of(function)):
        with pytest.raises(NumbaError, match="in a numba.prange can use the context"):
            run(begin, 6)


def test_prange_without_threads_is_a_loop_like_others() -> None:
    assert run(calls_in_serial_prange, 10) == sum(run(fib, n) for n in range(10))


calls_in_serial_prange = njit(calls_in_prange.py_func)


@pytest.mark.isolated  # has threads of Numba
def test_parallel_loop_of_numba_beside_tasks() -> None:
    run_script(
        """
        from numba import njit, prange
        from taskrt.native_numba import join, run, spawn

        @njit
        def square(context, n):
            return n * n

        @njit(parallel=True)
        def both(context, n):
            child = spawn(context, square, n)
            total = 0
            for i in prange(n):
                total += i
            return total + join(context, child)

        assert run(both, 10) == 45 + 100
        """
    )


@pytest.mark.parametrize("function", [spawn, join, cancelled])
def test_function_for_nopython_code_is_called_from_python(
    function: Callable[..., object],
) -> None:
    arguments = [None] * (1 if function is cancelled else 2)
    with pytest.raises(RuntimeError, match="for functions compiled by numba.njit"):
        function(*arguments)


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
