"""Native tasks in Numba: mistakes that are found while compiling, or before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.child import run_script

np = pytest.importorskip("numpy")
numba = pytest.importorskip("numba", "0.63")

from numba import njit, prange  # noqa: E402
from numba.core.errors import NumbaError, TypingError  # noqa: E402

from taskrt.native_numba import cancelled, join, run, spawn  # noqa: E402


@njit
def fib(context, n):
    if n < 2:
        return n
    child = spawn(context, fib, n - 1)
    mine = fib(context, n - 2)
    return join(context, child) + mine


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
        ((fib, [1.0, 2.0]), "cannot go to another task"),
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


def test_functions_that_spawn_each_other_return_different_types() -> None:
    with pytest.raises(NumbaError, match=r"down returns float64, .* to return int64"):
        run(down, 5)


@njit
def down(context, n):
    if n < 1:
        return 0
    child = spawn(context, half, n - 1)
    return join(context, child) + 1


@njit
def half(context, n):
    if n < 1:
        return 0.5
    child = spawn(context, down, n - 1)
    return join(context, child) / 2


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
