"""Native tasks in C that is built and called with cffi: the example, and mistakes."""

from __future__ import annotations

import array
import gc
import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.child import run_script
from support.native import compiler
from support.sources import ROOT

cffi = pytest.importorskip("cffi")
pytest.importorskip("setuptools", reason="cffi builds with it")

from taskrt import fetch, native, spawn, wait  # noqa: E402

EXAMPLE = ROOT / "examples/native_cffi"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the module `_sort` of the example in this folder."""
    compiler()  # skips where there is none
    folder = tmp_path_factory.mktemp("cffi")
    run_script(EXAMPLE / "build.py", str(folder))
    return folder


@pytest.fixture(scope="module")
def sort(folder: Path) -> ModuleType:
    [path] = [path for path in folder.glob("_sort.*") if path.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location("_sort", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def part_of(sort: ModuleType, numbers: array.array[float]) -> Any:
    part = sort.ffi.new("part *")
    part.numbers = sort.ffi.from_buffer("double[]", numbers)
    part.size = len(numbers)
    return part


def shuffled(size: int) -> array.array[float]:
    chance = random.Random(size)
    return array.array("d", [chance.random() for _ in range(size)])


# --- work -----------------------------------------------------------------------------


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("start", [native.run, lambda *a: fetch(native.spawn(*a))])
def test_function_is_found_by_its_address(
    sort: ModuleType, start: Callable[..., object]
) -> None:
    numbers = shuffled(20_000)
    function = sort.ffi.addressof(sort.lib, "sort")
    assert start(function, part_of(sort, numbers)) is None
    assert numbers.tolist() == sorted(shuffled(20_000))


def test_many_at_once(sort: ModuleType) -> None:
    function = sort.ffi.addressof(sort.lib, "sort")

    def one(size: int) -> bool:
        numbers = shuffled(size)
        native.run(function, part_of(sort, numbers))
        return numbers.tolist() == sorted(numbers)

    assert all(fetch(task) for task in [spawn(one, 10 * n) for n in range(50)])


def test_data_is_kept_alive(sort: ModuleType) -> None:
    function = sort.ffi.addressof(sort.lib, "sort")
    lists = [shuffled(n) for n in range(100)]
    tasks = [native.spawn(function, part_of(sort, numbers)) for numbers in lists]
    gc.collect()
    wait(*tasks)
    assert all(numbers.tolist() == sorted(numbers) for numbers in lists)


def test_pointers_and_arrays_are_data(sort: ModuleType) -> None:
    numbers = shuffled(1000)
    parts = sort.ffi.new("part[2]")
    parts[0].numbers = sort.ffi.from_buffer("double[]", numbers)
    parts[0].size = len(numbers)
    function = sort.ffi.addressof(sort.lib, "sort")
    address = int(sort.ffi.cast("uintptr_t", parts))
    for data in (parts, parts + 0, sort.ffi.cast("void *", parts), address):
        random.shuffle(numbers)
        native.run(function, data)
        assert numbers.tolist() == sorted(numbers)


def test_function_of_another_ffi(folder: Path, sort: ModuleType) -> None:
    ffi = cffi.FFI()
    ffi.cdef("int sort(void *context, void *data);")
    library = ffi.dlopen(sort.__spec__.origin)
    numbers = shuffled(1000)
    native.run(library.sort, part_of(sort, numbers))
    assert numbers.tolist() == sorted(numbers)
    native.run(int(ffi.cast("uintptr_t", library.sort)), part_of(sort, numbers))


@pytest.mark.isolated
def test_example_sorts(folder: Path) -> None:
    result = run_script(EXAMPLE / "sort.py", "5000", env={"PYTHONPATH": str(folder)})
    assert result.stdout.startswith("5,000 numbers sorted")


# --- mistakes -------------------------------------------------------------------------


def test_function_is_called_instead_of_pointed_to(sort: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"ffi.addressof\(lib, 'name'\).* not 'builtin"):
        native.spawn(sort.lib.sort)


def pointer(kind: str, address: int = 1) -> object:
    ffi = cffi.FFI()
    ffi.cdef("enum outcome { FINE, BAD };")
    return ffi.cast(kind, address)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("int(*)(void *)", "i32 (p)"),
        ("int(*)(void *, int)", "i32 (p, i32)"),
        ("int(*)(void *, void *, void *)", "i32 (p, p, p)"),
        ("void(*)(void *, void *)", "void (p, p)"),
        ("int64_t(*)(void *, void *)", "i64 (p, p)"),
        ("float(*)(void *, void *)", "float (p, p)"),
        ("int(*)(void *, double)", "i32 (p, double)"),
        ("int(*)(void *, float _Complex)", "i32 (p, _cffi_float_complex_t)"),
    ],
)
def test_function_of_another_signature(kind: str, found: str) -> None:
    with pytest.raises(TypeError) as caught:
        native.spawn(pointer(kind))
    assert "of the signature i32 (p, p) is needed" in str(caught.value)
    assert str(caught.value).endswith(f"has {found}")


@pytest.mark.parametrize(
    "kind",
    [
        "int(*)(void *, void *)",
        "int32_t(*)(struct context *, const char *)",
        "enum outcome(*)(void *, int(*)(void))",
    ],
)
def test_signatures_that_are_the_same_to_a_machine(kind: str) -> None:
    assert native.address_of(pointer(kind, 64)) == 64


def test_function_of_a_loop_has_its_own_signature(sort: ModuleType) -> None:
    function = sort.ffi.addressof(sort.lib, "sort")
    with pytest.raises(TypeError, match=r"i32 \(p, i64, i64, p\) is needed"):
        native.for_range(function, 0, 10)
    with pytest.raises(TypeError, match=r"i32 \(p, i64, i64, p, p\) is needed"):
        native.reduce(function, function, 0, 10, bytearray(8))


def test_null_function() -> None:
    with pytest.raises(ValueError, match="null pointer"):
        native.spawn(pointer("int(*)(void *, void *)", 0))


@pytest.mark.parametrize("kind", ["void *", "long", "char"])
def test_function_that_is_none(kind: str) -> None:
    with pytest.raises(TypeError, match="is no function pointer"):
        native.spawn(pointer(kind, 64))


@pytest.mark.parametrize("kind", ["long", "double", "int(*)(void)"])
def test_data_that_is_no_pointer(sort: ModuleType, kind: str) -> None:
    function = sort.ffi.addressof(sort.lib, "sort")
    with pytest.raises(TypeError, match="is no pointer"):
        native.spawn(function, pointer(kind))


def test_data_that_is_not_contiguous(sort: ModuleType) -> None:
    function = sort.ffi.addressof(sort.lib, "sort")
    with pytest.raises(ValueError, match="not contiguous"):
        native.spawn(function, memoryview(shuffled(10))[::2])
