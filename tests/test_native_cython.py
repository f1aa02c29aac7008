"""Native tasks in Cython: the example, built here, and mistakes."""

from __future__ import annotations

import importlib.util
import shutil
from types import ModuleType

import pytest
from support.child import run_script
from support.native import compiler
from support.sources import ROOT

pytest.importorskip("Cython", "3.1")
pytest.importorskip("setuptools", reason="Cython builds with it")

from taskrt import fetch, native, spawn

EXAMPLE = ROOT / "examples/native_cython"
SOLUTIONS = [1, 0, 0, 2, 10, 4, 40, 92, 352]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    compiler()  # skips where there is none
    folder = tmp_path_factory.mktemp("cython") / "example"
    shutil.copytree(EXAMPLE, folder)
    run_script(
        f"""
        import os, runpy, sys

        os.chdir({str(folder)!r})
        sys.argv = ["setup.py", "--quiet", "build_ext", "--inplace"]
        runpy.run_path("setup.py")
        """
    )
    [path] = [p for p in folder.glob("queens.*") if p.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location("queens", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("threads")
def test_queens_are_counted(example: ModuleType) -> None:
    assert [example.queens(n) for n in range(1, 10)] == SOLUTIONS


def test_no_queens_stand_on_no_board_in_one_way(example: ModuleType) -> None:
    assert example.queens(0) == 1


@pytest.mark.parametrize("n", [-(2**31), -1, 32, 33, 2**31 - 1])
def test_board_without_room_is_refused(example: ModuleType, n: int) -> None:
    with pytest.raises(ValueError, match=f"n must be 0 to 31, not {n}"):
        example.queens(n)


def test_from_many_tasks_at_once(example: ModuleType) -> None:
    tasks = [spawn(example.queens, n) for n in range(1, 10) for _ in range(20)]
    assert sorted(map(fetch, tasks)) == sorted(SOLUTIONS * 20)


def test_address_is_a_function(example: ModuleType) -> None:
    address = example.address()
    assert native.address_of(address) == address
    board = bytearray(32)
    fetch(native.spawn(address, board))
    assert board[16] == 1  # no columns, no queens: one solution


def test_function_of_python_has_no_address(example: ModuleType) -> None:
    with pytest.raises(TypeError, match="or an address, not"):
        native.run(example.queens)
