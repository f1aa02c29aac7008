"""Native tasks from Python: outcomes, functions and data, the edges of a process."""

from __future__ import annotations

import array
import ctypes
import gc
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.child import UNDER_ASAN, run_script
from support.growth import blocks_left_by
from support.native import caller, compiler, includes, pair

from taskrt import CancelledError, Task, fetch, native, spawn, wait
from taskrt.native import NativeError

Resize = Callable[[int], object]

FIB_15, FIB_20 = 610, 6765


# --- outcomes -------------------------------------------------------------------------


@pytest.mark.usefixtures("threads")
class TestAtEverySize:
    @pytest.mark.parametrize("start", [native.run, lambda *a: fetch(native.spawn(*a))])
    def test_spawned_children_are_joined(
        self, lib: ctypes.CDLL, start: Callable[..., object]
    ) -> None:
        data = pair(20)
        assert start(lib.fib, data) is None
        assert data[1] == FIB_20

    def test_from_a_task_from_a_thread_and_many_at_once(self, lib: ctypes.CDLL) -> None:
        def parent() -> int:
            parts = [pair(n) for n in range(15)]
            wait(*[native.spawn(lib.fib, part) for part in parts])
            native.run(lib.fib, parts[0])
            return sum(part[1] for part in parts)

        results: list[int] = []
        others = [
            threading.Thread(target=lambda: results.append(parent())) for _ in range(3)
        ]
        for thread in others:
            thread.start()
        results += [fetch(task) for task in [spawn(parent) for _ in range(10)]]
        for thread in others:
            thread.join()
        assert results == [986] * 13

    def test_more_children_than_fit_at_first(self, lib: ctypes.CDLL) -> None:
        data = pair(1000)
        native.run(lib.fan, data)
        assert data[1] == 100 * 88

    def test_a_million_joins_inside_one_another(self, lib: ctypes.CDLL) -> None:
        data = pair(1_000_000)
        native.run(lib.chain, data)
        assert data[1] == 1_000_000

    def test_failure_below_is_handed_up(self, lib: ctypes.CDLL) -> None:
        for _ in range(20):
            with pytest.raises(NativeError, match="far below") as caught:
                native.run(lib.fails_below, pair(100))
            assert caught.value.status == 42


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (3, NativeError, "status 3"),
        (-1, MemoryError, None),
        (-2, RuntimeError, "newest first"),
        (-3, CancelledError, "cancelled itself"),
        (-4, RecursionError, "more stack"),
    ],
)
def test_status_becomes_an_exception(
    lib: ctypes.CDLL, status: int, error: type[Exception], says: str | None
) -> None:
    with pytest.raises(error, match=says):
        native.run(lib.returns, pair(status))
    task = native.spawn(lib.returns, pair(status))
    with pytest.raises(error, match=says):
        fetch(task)


def test_first_reason_is_the_one_that_is_told(lib: ctypes.CDLL) -> None:
    with pytest.raises(NativeError) as caught:
        native.run(lib.explains, pair(9))
    assert (caught.value.status, caught.value.message) == (9, "first reason")
    assert str(caught.value) == "a native task failed with status 9: first reason"


class Failure(ctypes.Structure):
    _fields_ = (("status", ctypes.c_int64), ("message", ctypes.c_char_p))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (7, NativeError),
        (-1, MemoryError),
        (-2, RuntimeError),
        (-3, CancelledError),
        (-4, RecursionError),
        (-6, RuntimeError),
    ],
)
@pytest.mark.parametrize(
    ("message", "shown"),
    [(b"why \xc3\xa4", "why \xe4"), (b"a\xff", "a\N{REPLACEMENT CHARACTER}")],
)
def test_reason_is_told_with_every_status(
    lib: ctypes.CDLL, status: int, error: type[Exception], message: bytes, shown: str
) -> None:
    with pytest.raises(error, match=shown):
        native.run(lib.fails_with, Failure(status, message))


def test_no_reason_is_none(lib: ctypes.CDLL) -> None:
    with pytest.raises(NativeError) as caught:
        native.run(lib.fails_with, Failure(7, None))
    assert (caught.value.status, caught.value.message) == (7, None)


@pytest.mark.parametrize("n", [0, 1])
def test_null_functions_from_c_are_told(lib: ctypes.CDLL, n: int) -> None:
    with pytest.raises(RuntimeError, match="is null"):
        native.run(lib.gives_null_functions, pair(n))


def test_library_that_was_built_for_another_version(lib: ctypes.CDLL) -> None:
    with pytest.raises(RuntimeError, match=r"another version.*build it again"):
        native.run(lib.returns, pair(-6))


@pytest.mark.parametrize("name", ["joins_nothing", "joins_oldest_first"])
def test_broken_rule_is_told(lib: ctypes.CDLL, name: str) -> None:
    with pytest.raises(RuntimeError, match="join every child"):
        native.run(getattr(lib, name), None)
    data = pair(20)
    native.run(lib.fib, data)
    assert data[1] == FIB_20


def test_other_python_code_runs_meanwhile(lib: ctypes.CDLL) -> None:
    data = pair(0)
    thread = threading.Thread(target=lambda: data.__setitem__(0, 1))
    thread.start()
    native.run(lib.until_told, data)
    thread.join()


# --- functions and data ---------------------------------------------------------------

TASK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def test_function_may_be_an_address(lib: ctypes.CDLL) -> None:
    data = pair(20)
    native.run(native.address_of(lib.fib), data)
    assert data[1] == FIB_20


@pytest.mark.parametrize("bad", [None, "fib", len, 1.5, True, object()])
def test_function_of_a_wrong_kind(bad: object) -> None:
    with pytest.raises(TypeError, match="function pointer"):
        native.spawn(bad)


def test_functions_of_ctypes_of_which_only_the_result_is_known() -> None:
    wrong = ctypes.CDLL(None).abs
    wrong.restype = None
    with pytest.raises(TypeError, match=r"has void \(\)"):
        native.spawn(wrong)
    wrong.restype = lambda status: status
    with pytest.raises(TypeError, match="whatever"):
        native.spawn(wrong)


def test_function_is_kept_alive() -> None:
    def start(n: int) -> Task[None]:
        return native.spawn(TASK(lambda _context, _data: n))

    tasks = [start(n) for n in range(1, 200)]
    gc.collect()
    for n, task in enumerate(tasks, 1):
        with pytest.raises(NativeError, match=rf"status {n}\b"):
            fetch(task)


@pytest.mark.parametrize("null", [0, TASK()])
def test_null_function(null: object) -> None:
    with pytest.raises(ValueError, match="null pointer"):
        native.spawn(null)


def test_null_function_of_a_reduction() -> None:
    for fold, combine in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="null pointer"):
            native.reduce(fold, combine, 0, 1, bytearray(8))


def test_function_of_a_visibly_wrong_signature() -> None:
    wrong = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(len)
    with pytest.raises(TypeError, match=r"i32 \(p, p\).* i32 \(p\)"):
        native.spawn(wrong)
    right = TASK(lambda _context, _data: 0)
    with pytest.raises(TypeError, match=r"i32 \(p, i64, i64, p\)"):
        native.for_range(right, 0, 10)


class Pair(ctypes.Structure):
    _fields_ = (("n", ctypes.c_int64), ("result", ctypes.c_int64))


def test_data_of_every_kind(lib: ctypes.CDLL) -> None:
    structure = Pair(20, 0)
    raw = bytearray(bytes(pair(20)))
    kept = array.array("q", pair(20))
    for data in (
        structure,
        ctypes.pointer(structure),
        ctypes.cast(ctypes.pointer(structure), ctypes.c_void_p),
        ctypes.addressof(structure),
    ):
        structure.result = 0
        fetch(native.spawn(lib.fib, data))
        assert structure.result == FIB_20
    for buffer in (raw, kept, memoryview(kept)):
        fetch(native.spawn(lib.fib, buffer))
        assert memoryview(buffer).cast("B").cast("q")[1] == FIB_20


def test_data_is_kept_alive_and_in_place(lib: ctypes.CDLL) -> None:
    # As they are when the data goes. A lock could be held by the finalizer that another
    # one interrupts.
    results: list[int] = []

    class Told(Pair):
        def __del__(self) -> None:
            results.append(self.result)

    class ToldArray(array.array):  # type: ignore[type-arg]
        def __del__(self) -> None:
            results.append(self[1])

    tasks = [native.spawn(lib.fib, ToldArray("q", [15, 0])) for _ in range(200)]
    tasks += [native.spawn(lib.fib, ctypes.pointer(Told(15, 0))) for _ in range(200)]
    gc.collect()
    wait(*tasks)
    assert all(task.exception() is None for task in tasks)
    while len(results) < len(tasks):  # also those that a worker drops last
        gc.collect()
    assert results == [FIB_15] * len(tasks)


def test_buffer_cannot_move_before_the_task_begins(lib: ctypes.CDLL) -> None:
    # In a process that has had one thread from the start, where it begins in the fetch.
    script = f"""
        import ctypes
        from taskrt import fetch, native
        lib = ctypes.CDLL({lib._name!r})
        data = bytearray(b"".join(n.to_bytes(8, "little") for n in (20, 0)))
        task = native.spawn(lib.fib, data)
        try:
            del data[:]
        except BufferError:
            print("refused")
        fetch(task)
        print(memoryview(data).cast("q")[1])
        del data[:]
    """
    result = run_script(script, env={"TASKRT_NUM_THREADS": "1"})
    assert result.stdout.split() == ["refused", str(FIB_20)]


def test_buffer_cannot_move_while_it_is_in_use(lib: ctypes.CDLL) -> None:
    data = bytearray(bytes(pair(0)))
    thread = threading.Thread(target=native.run, args=(lib.until_told, data))
    thread.start()
    with pytest.raises(BufferError):
        while True:
            data.append(0)
            data.pop()
    data[0] = 1
    thread.join()
    data.append(0)


@pytest.mark.parametrize(
    "bad", ["text", [1, 2], 1.5, object(), True, ctypes.byref(ctypes.c_int64())]
)
def test_data_without_a_pointer(lib: ctypes.CDLL, bad: object) -> None:
    with pytest.raises(TypeError, match=f"or an address, not '{type(bad).__name__}'"):
        native.spawn(lib.fib, bad)


def test_numpy_scalar_is_an_address_or_nothing(lib: ctypes.CDLL) -> None:
    numpy = pytest.importorskip("numpy")
    structure = Pair(20, 0)
    native.run(lib.fib, numpy.uintp(ctypes.addressof(structure)))
    assert structure.result == FIB_20
    for bad in (numpy.float64(1.5), numpy.bool_(True)):
        with pytest.raises(TypeError, match="or an address"):
            native.run(lib.fib, bad)


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_number_that_is_no_address(lib: ctypes.CDLL, bad: int) -> None:
    with pytest.raises(OverflowError, match="is not an address"):
        native.spawn(lib.fib, bad)
    with pytest.raises(OverflowError, match="is not an address"):
        native.spawn(bad)


def test_data_may_be_read_only(lib: ctypes.CDLL) -> None:
    """C code that does not write to it may have it."""
    with pytest.raises(NativeError, match="status 3"):
        native.run(lib.returns, bytes(pair(3)))


def test_data_must_be_contiguous(lib: ctypes.CDLL) -> None:
    with pytest.raises((BufferError, ValueError)):
        native.run(lib.fib, memoryview(array.array("q", range(10)))[::2])


def use_plainly(lib: ctypes.CDLL) -> None:
    wait(*[native.spawn(lib.fib, pair(12)) for _ in range(5)])


def use_and_fail(lib: ctypes.CDLL) -> None:
    task = native.spawn(lib.fails_below, pair(20))
    assert isinstance(task.exception(), NativeError)


def use_and_call(lib: ctypes.CDLL) -> None:
    def call() -> None:
        fetch(spawn(int))
        raise ValueError("expected")

    with pytest.raises(ValueError, match="expected"):
        native.run(lib.calls, caller(3, call))


def use_and_forget(lib: ctypes.CDLL) -> None:
    with pytest.raises(RuntimeError):
        native.run(lib.joins_nothing, None)


def use_and_cancel(lib: ctypes.CDLL) -> None:
    data = pair(0)
    task = native.spawn(lib.until_cancelled, data)
    task.cancel()
    wait(task)
    assert task.cancelled()


def use_loops(lib: ctypes.CDLL) -> None:
    out = array.array("q", [0] * 1000)
    native.for_range(lib.count_up, 0, len(out), out, grain=10)
    native.reduce(
        lib.count_indices, lib.add_counts, 0, 1000, array.array("q", [0]), grain=10
    )


@pytest.mark.parametrize(
    "use",
    [
        use_plainly,
        use_and_fail,
        use_and_call,
        use_and_forget,
        use_and_cancel,
        use_loops,
    ],
)
def test_memory_is_steady(
    lib: ctypes.CDLL,
    set_num_threads: Resize,
    use: Callable[[ctypes.CDLL], None],
) -> None:
    # What a thief has while its parent forgets it is given up for good.
    set_num_threads(1 if use is use_and_forget else 4)
    assert blocks_left_by(lambda: use(lib), 50) <= 50 // 10


# --- the edges of the process ---------------------------------------------------------

TESTS = Path(__file__).parent


@pytest.mark.isolated
@pytest.mark.parametrize("threads", "124")
class TestProcess:
    def run(self, lib: ctypes.CDLL, script: str, threads: str) -> Counter[str]:
        path = TESTS / "isolated" / f"{script}.py"
        env = {"TASKRT_NUM_THREADS": threads, "PYTHONPATH": str(TESTS)}
        options = ["-W", "ignore::DeprecationWarning"]
        result = run_script(path, lib._name, env=env, options=options)
        assert result.stderr == ""
        return Counter(result.stdout.splitlines())

    def test_exit_runs_what_is_pending(self, lib: ctypes.CDLL, threads: str) -> None:
        assert self.run(lib, "native_exit", threads) == {"610": 50}

    def test_exit_does_not_wait_for_detached_work_that_offers_children(
        self, lib: ctypes.CDLL, threads: str
    ) -> None:
        assert self.run(lib, "native_exit_detached", threads) == {"exits": 1}

    def test_shutdown_ends_what_runs(self, lib: ctypes.CDLL, threads: str) -> None:
        assert self.run(lib, "native_shutdown", threads) == {"ended": 1}

    def test_deadlines_hold_across_shutdowns(
        self, lib: ctypes.CDLL, threads: str
    ) -> None:
        assert self.run(lib, "native_deadline_shutdown", threads) == {"ended": 1}

    def test_ctrl_c_ends_what_looks_for_it(
        self, lib: ctypes.CDLL, threads: str
    ) -> None:
        assert self.run(lib, "native_ctrl_c", threads) == {"interrupted": 1}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.skipif(UNDER_ASAN, reason="its allocator does not survive forks")
    def test_fork_in_a_call_and_beside_native_work(
        self, lib: ctypes.CDLL, threads: str
    ) -> None:
        told = self.run(lib, "native_fork", threads)
        assert told == {"child is well": 9, "parent is well": 1}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.skipif(UNDER_ASAN, reason="its allocator does not survive forks")
    def test_fork_in_a_callback_while_a_child_is_stolen(
        self, lib: ctypes.CDLL, threads: str
    ) -> None:
        """The child process ends where its native code would wait for a thief."""
        if threads == "1":
            pytest.skip("there is nobody who steals")
        told = self.run(lib, "native_fork_callback", threads)
        assert told == {"child's callback returns": 1, "parent is well": 1}


# --- headers --------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["taskrt.h", "taskrt_native.h"])
@pytest.mark.parametrize(
    ("language", "standard"), [("C", "c11"), ("C++", "c++17"), ("C++", "c++20")]
)
def test_headers_compile_without_a_warning(
    tmp_path: Path, header: str, language: str, standard: str
) -> None:
    suffix = {"C": "c", "C++": "cpp"}[language]
    source = tmp_path / f"use.{suffix}"
    source.write_text(
        f"#include <{header}>\n"
        "int task(trt_context *ctx, void *arg);\n"
        "int task(trt_context *ctx, void *arg)\n"
        "{\n"
        "    trt_frame frame;\n"
        "    trt_spawn(ctx, &frame, task, arg);\n"
        "    return trt_join(ctx, &frame);\n"
        "}\n"
    )
    flags = ["-Wall", "-Wextra", "-Werror", f"-std={standard}", "-c", "-o", "/dev/null"]
    if header == "taskrt_native.h":
        flags.append("-pedantic")
    command = [*compiler(language), *flags, *includes(), str(source)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
