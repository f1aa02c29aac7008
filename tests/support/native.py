"""C code for tests: compiled into a library, loaded by ctypes."""

from __future__ import annotations

import array
import ctypes
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import taskrt

NATIVE_TASKS = Path(__file__).with_name("native_tasks.c")


def compiler(language: str = "C") -> list[str]:
    """Return the command of the compiler that the interpreter was built with."""
    command = sysconfig.get_config_var({"C": "CC", "C++": "CXX"}[language])
    if not command:
        pytest.skip(f"no compiler for {language} is known")
    return str(command).split()


def includes() -> list[str]:
    folders = [taskrt.get_include(), sysconfig.get_path("include")]
    return [f"-I{folder}" for folder in folders]


def build_library(source: Path, target: Path, *flags: str) -> ctypes.CDLL:
    """Compile `source` into `target` and load it."""
    command = [*compiler(), "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command += [*includes(), *flags, str(source), "-o", str(target)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    return ctypes.CDLL(str(target))


def pair(n: int) -> array.array[int]:
    """Return the tasks' argument: a number, and room for a result."""
    return array.array("q", [n, -1])


def caller(depth: int, function: Callable[[], object]) -> array.array[int]:
    """Return the argument of tasks that call `function`, which must stay alive."""
    return array.array("q", [depth, id(function)])
