"""Arrows point down: which part may include or import which."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.sources import BINDING, ROOT, RUNTIME, c_files, shown, without_comments

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)

# What each layer may include besides itself and the system's headers.
BELOW = {
    "os": set(),
    "queue": {"os"},
    "trace": {"os"},
    "task": {"os", "queue", "trace"},
    "sync": {"os", "queue", "trace", "task"},
    "sched": {"os", "queue", "trace", "task", "sync"},
    "native": {"os", "queue", "trace", "task", "sync", "sched"},
}


def own_includes(path: Path) -> list[str]:
    text = without_comments(path.read_text("utf-8"))
    return [name for mark, name in INCLUDE.findall(text) if mark == '"']


def system_includes(path: Path) -> list[str]:
    text = without_comments(path.read_text("utf-8"))
    return [name for mark, name in INCLUDE.findall(text) if mark == "<"]


@pytest.mark.parametrize("path", c_files("csrc/runtime"), ids=shown)
def test_runtime_file_includes_only_what_lies_below(path: Path) -> None:
    layer = path.relative_to(RUNTIME).parts[0]
    for name in own_includes(path):
        if name == "taskrt_native.h":
            assert layer in ("queue", "native")
            continue
        folder, slash, _ = name.partition("/")
        assert slash, f"{name} lacks its folder"
        assert (RUNTIME / name).is_file(), f"{name} is not a file of the runtime"
        assert folder in BELOW[layer] | {layer}, f"{layer} may not include {name}"


@pytest.mark.parametrize("path", c_files("csrc/kernels"), ids=shown)
def test_kernel_includes_only_kernels_and_the_public_header(path: Path) -> None:
    for name in own_includes(path):
        if name == "os/atomics.h":
            assert path.name == "scratch.c"  # which keeps memory for other threads
        elif name != "taskrt_native.h":
            assert name.startswith("kernels/"), name
            assert (ROOT / "csrc" / name).is_file(), name


@pytest.mark.parametrize("path", c_files("csrc/binding"), ids=shown)
def test_binding_file_includes_only_what_lies_below(path: Path) -> None:
    for name in own_includes(path):
        if name != "taskrt.h":
            folders = (BINDING, RUNTIME, ROOT / "csrc")
            assert any((folder / name).is_file() for folder in folders), name


def test_only_the_binding_sees_python_and_greenlet() -> None:
    users = [
        shown(path)
        for path in c_files("csrc/runtime", "tests/runtime")
        for name in [*own_includes(path), *system_includes(path)]
        if name.endswith(("Python.h", "greenlet.h"))
    ]
    assert users == []


def test_public_headers_need_no_private_one() -> None:
    assert own_includes(ROOT / "taskrt/include/taskrt.h") == ["taskrt_native.h"]
    assert own_includes(ROOT / "taskrt/include/taskrt_native.h") == []


@pytest.mark.skipif(
    importlib.util.find_spec("importlinter") is None, reason="comes with `make lint`"
)
def test_python_modules_import_only_what_lies_below() -> None:
    contracts = subprocess.run(
        [
            sys.executable,
            "-c",
            "import importlinter.cli as c; c.lint_imports_command()",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert contracts.returncode == 0, contracts.stdout + contracts.stderr
