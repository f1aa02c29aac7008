"""Native tasks in Numba: spawn and join in nopython code, and work from Python."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.child import run_script
from support.native import build_library
from support.sources import ROOT

np = pytest.importorskip("numpy")
numba = pytest.importorskip("numba", "0.63")

from numba import carray, cfunc, njit  # noqa: E402
from numba.core.registry import cpu_target  # noqa: E402
from numba.core.runtime import _nrt_python, rtsys  # noqa: E402

import taskrt  # noqa: E402
from taskrt import _numba, fetch, native  # noqa: E402
from taskrt.native_numba import join, run, spawn  # noqa: E402

FIB_20 = 6765
TASK = "int32(voidptr, voidptr)"


@njit
def fib(context, n):
    if n < 2:
        return n
    child = spawn(context, fib, n - 1)
    mine = fib(context, n - 2)
    return join(context, child) + mine


@njit("int64(voidptr, int64)", nogil=True)
def signed_fib(context, n):
    if n < 2:
        return n
    child = spawn(context, signed_fib, n - 1)
    mine = signed_fib(context, n - 2)
    return join(context, child) + mine


@cfunc(TASK)
def root(context, data):
    pair = carray(data, 2, np.int64)
    pair[1] = fib(context, pair[0])
    return 0


def load_example(name: str) -> ModuleType:
    path = ROOT / "examples/native_numba" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"native_numba_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Numba looks for it there
    spec.loader.exec_module(module)
    return module


# --- the header as LLVM IR ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("trt_frame", _numba.FRAME),
        ("struct trt_context", _numba.CONTEXT),
        ("trt_context_api", _numba.API),
    ],
)
def test_structures_are_those_of_the_header(
    tmp_path: Path, name: str, members: dict[str, Any]
) -> None:
    offsets = ", ".join(f"offsetof({name}, {member})" for member in members)
    source = tmp_path / "offsets.c"
    source.write_text(
        "#include <taskrt_native.h>\n"
        f"const uint64_t offsets[] = {{{offsets}, TRT_CONTEXT_LAYOUT}};\n"
    )
    library = build_library(source, tmp_path / "offsets.so")
    found = (ctypes.c_uint64 * (len(members) + 1)).in_dll(library, "offsets")
    target = cpu_target.target_context.target_data
    whole = _numba.struct(members)
    expected = [whole.get_element_offset(target, i) for i in range(len(members))]
    assert list(found) == [*expected, _numba.LAYOUT]


# --- work -----------------------------------------------------------------------------


@pytest.mark.usefixtures("threads")
class TestAtEverySize:
    @pytest.mark.parametrize("function", [fib, signed_fib])
    def test_function_spawns_itself(self, function: Callable[..., int]) -> None:
        assert run(function, 20) == FIB_20
        assert run(function, np.int32(20)) == FIB_20

    @pytest.mark.parametrize("start", [native.run, lambda *a: fetch(native.spawn(*a))])
    def test_cfunc_begins_the_work(self, start: Callable[..., object]) -> None:
        pair = np.array([20, -1])
        start(root, pair)
        assert pair[1] == FIB_20

    def test_from_tasks_and_threads_at_once(self) -> None:
        run(fib, 1)
        results: list[int] = []
        others = [
            threading.Thread(target=lambda: results.append(run(fib, 15)))
            for _ in range(3)
        ]
        for thread in others:
            thread.start()
        results += [
            fetch(task) for task in [taskrt.spawn(run, fib, 15) for _ in range(30)]
        ]
        for thread in others:
            thread.join()
        assert results == [610] * 33

    def test_unbalanced_tree_is_walked(self) -> None:
        example = load_example("tree")
        left, right = np.full((2, 10_000), -1)
        keys = np.random.default_rng(1).random(10_000) ** 4
        example.grow(keys, left, right)
        value = np.arange(10_000.0)
        total = run(example.walk, left, right, value, 0)
        assert total == value.sum() == example.serial(left, right, value, 0)

    def test_slices_are_summed(self) -> None:
        numbers = np.arange(3000.0)
        assert run(add_up, numbers) == numbers.sum()

    def test_a_chain_of_joins(self) -> None:
        assert run(chain, 200_000) == 200_000

    def test_children_in_a_loop(self) -> None:
        assert run(one_by_one, 15) == sum(run(fib, n) for n in range(15))

    def test_failures_do_not_depend_on_who_ran_what(self) -> None:
        ends: Counter[object] = Counter()
        for seed in range(500):
            try:
                ends[run(storm, 4, seed)] += 1
            except ValueError as error:
                ends[str(error)] += 1
        failed = {"before", "between", "later", "half"}
        assert failed < set(ends)
        assert len(ends) > len(failed)
        expected = STORMS.setdefault("first", ends)
        assert ends == expected


STORMS: dict[str, Counter[object]] = {}


@njit
def add_up(context, numbers):
    if len(numbers) < 2:
        return numbers.sum()
    mid = len(numbers) // 2
    child = spawn(context, add_up, numbers[:mid])
    large = add_up(context, numbers[mid:])
    return join(context, child) + large


@njit
def chain(context, n):
    if n == 0:
        return 0
    child = spawn(context, chain, n - 1)
    return join(context, child) + 1


@njit
def one_by_one(context, n):
    total = 0
    for i in range(n):
        child = spawn(context, fib, i)
        total += join(context, child)
    return total


@njit
def storm(context, n, seed):
    if n == 0:
        return 1
    seed = seed * 6364136223846793005 + 1442695040888963407
    end = (seed >> 33) & 63
    if end == 0:
        raise ValueError("before")
    older = spawn(context, storm, n - 1, seed + 1)
    if end == 1:
        raise ValueError("between")
    newer = spawn(context, storm, n - 1, seed + 2)
    if end == 2:
        raise ValueError("later")
    if end == 3:
        return 5
    mine = storm(context, n - 1, seed + 3)
    total = join(context, newer) + mine
    if end == 4:
        raise ValueError("half")
    return total + join(context, older)


def test_compiled_for_a_debugger() -> None:
    with_lines = njit(debug=True)(one_by_one.py_func)
    assert run(with_lines, 10) == run(one_by_one, 10)


def test_closure_spawns_itself() -> None:
    step = 3

    @njit
    def climb(context, n):
        if n == 0:
            return step
        child = spawn(context, climb, n - 1)
        return join(context, child) + step

    assert run(climb, 5) == 18


def test_functions_that_spawn_each_other() -> None:
    assert run(is_even, 10)
    assert run(is_odd, 9)
    assert not run(is_even, 7)


@njit
def is_even(context, n):
    if n == 0:
        return True
    child = spawn(context, is_odd, n - 1)
    return join(context, child)


@njit
def is_odd(context, n):
    if n == 0:
        return False
    child = spawn(context, is_even, n - 1)
    return join(context, child)


def test_functions_that_spawn_each_other_return_one_type() -> None:
    assert run(down, 5) == 1.875
    assert run(half, 5) == 0.75
    for function in (down, half):
        assert str(function.nopython_signatures) == "[(void*, int64) -> float64]"


# [mutual]
@njit
def down(context, n):
    if n < 1:
        return 0.0
    child = spawn(context, half, n - 1)
    return join(context, child) + 1


@njit
def half(context, n):
    if n < 1:
        return 0.5
    child = spawn(context, down, n - 1)
    return join(context, child) / 2


# [/mutual]


# --- arguments and results ------------------------------------------------------------


def test_result_of_a_wider_type_than_it_seems_at_first() -> None:
    assert run(halves, 10) == halves_serially(10)


@njit
def halves(context, n):
    if n < 2:
        return n
    child = spawn(context, halves, n - 1)
    mine = halves(context, n - 2)
    return join(context, child) * 0.5 + mine


def halves_serially(n: int) -> float:
    return n if n < 2 else halves_serially(n - 1) * 0.5 + halves_serially(n - 2)


def test_arguments_of_many_kinds() -> None:
    given = (1.5, "text", (1, 2.0), None)
    assert run(hand_down, True, *given) == (*given, False)


@njit
def hand_down(context, again, number, text, pair, nothing):
    if again:
        child = spawn(context, hand_down, False, number, text, pair, nothing)
        return join(context, child)
    return number, text, pair, nothing, again


def test_result_that_may_be_none() -> None:
    assert [run(maybe, n) for n in range(4)] == [10, 11, 2, None]


@njit
def maybe(context, n):
    if n > 2:
        return None
    child = spawn(context, maybe, n + 1)
    above = join(context, child)
    return n if above is None else n + 10


def test_no_result() -> None:
    numbers = np.zeros(100)
    assert run(fill, numbers) is None
    assert (numbers == 1).all()


@njit
def fill(context, numbers):
    if len(numbers) == 1:
        numbers[0] = 1
        return
    child = spawn(context, fill, numbers[::2])
    fill(context, numbers[1::2])
    join(context, child)


def test_temporary_argument_lives_until_the_join_and_no_longer() -> None:
    _nrt_python.memsys_enable_stats()
    assert run(pile, 10).tolist() == [56.0] * 3
    before = rtsys.get_allocation_stats()
    for _ in range(20):
        run(pile, 10)
    gc.collect()
    after = rtsys.get_allocation_stats()
    assert after.mi_alloc - before.mi_alloc == after.mi_free - before.mi_free > 0
    assert after.alloc - before.alloc == after.free - before.free


@njit
def pile(context, n):
    if n == 0:
        return np.ones(3)
    child = spawn(context, times, np.full(3, 1.0), n)
    others = pile(context, n - 1)
    return join(context, child) + others


@njit
def times(context, numbers, factor):
    return numbers * factor


def test_returned_argument_keeps_its_array() -> None:
    numbers = np.arange(100_000.0)
    end = run(tail_of, numbers)
    del numbers
    gc.collect()
    assert end.sum() == sum(range(50_000, 100_000))


@njit
def tail_of(context, numbers):
    child = spawn(context, same, numbers[50_000:])
    return join(context, child)


@njit
def same(context, numbers):
    return numbers


# --- the examples ---------------------------------------------------------------------


@pytest.mark.isolated
@pytest.mark.parametrize(
    ("name", "size"), [("fib", 20), ("tree", 1000), ("cfuncs", 1000)]
)
def test_example_agrees_with_its_serial_run(name: str, size: int) -> None:
    path = ROOT / "examples/native_numba" / f"{name}.py"
    assert "parallel" in run_script(path, str(size)).stdout
