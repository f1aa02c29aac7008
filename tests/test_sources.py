"""What the sources promise: sizes, labels of atomics, and where things may stand."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from support.sources import (
    BINDING,
    ROOT,
    RUNTIME,
    c_files,
    comments,
    python_files,
    shown,
    without_comments,
)

C_FILES = c_files("csrc", "taskrt/include", "tests/runtime")
PYTHON_FILES = python_files("taskrt", "examples", "tests", "tools")

COLUMNS = 88
C_LINES = 600
PYTHON_LINES = 500
FUNCTION_LINES = 50

LABEL = re.compile(r"\[([a-z]{2,}(?:-[a-z]{2,})+)\]")
C_FUNCTION = re.compile(r"(?ms)^(\w[^\n;{}]*\([^;{}]*\))\n\{\n(.*?)^\}")

each_c_file = pytest.mark.parametrize("path", C_FILES, ids=shown)
each_python_file = pytest.mark.parametrize("path", PYTHON_FILES, ids=shown)


def findings(pattern: str, files: list[Path]) -> list[str]:
    """Return the places outside of comments where `pattern` stands."""
    found = []
    for path in files:
        lines = without_comments(path.read_text("utf-8")).split("\n")
        found += [
            f"{shown(path)}:{number}: {line.strip()}"
            for number, line in enumerate(lines, 1)
            if re.search(pattern, line)
        ]
    return found


def test_every_label_stands_at_both_ends_and_in_a_readme() -> None:
    places = Counter(
        label
        for path in c_files("csrc", "taskrt/include")
        for comment in comments(path.read_text("utf-8"))
        for label in LABEL.findall(comment)
    )
    readmes = "".join(p.read_text("utf-8") for p in (ROOT / "csrc").rglob("*.md"))
    named = set(LABEL.findall(readmes))
    assert places
    assert [label for label, count in places.items() if count < 2] == []
    assert set(places) - named == set()
    assert named - set(places) == set()


@each_c_file
def test_c_file_has_one_noun_and_fits_the_page(path: Path) -> None:
    check_page(path, C_LINES)


@each_python_file
def test_python_file_has_one_noun_and_fits_the_page(path: Path) -> None:
    check_page(path, PYTHON_LINES)


def check_page(path: Path, most: int) -> None:
    lines = path.read_text("utf-8").split("\n")
    assert len(lines) - 1 <= most
    assert [n for n, line in enumerate(lines, 1) if len(line) > COLUMNS] == []
    assert [n for n, line in enumerate(lines, 1) if "\t" in line] == []


def test_c_functions_fit_on_a_screen() -> None:
    too_long = [
        f"{shown(path)}: {' '.join(head.split())}"
        for path in c_files("csrc")
        for head, body in C_FUNCTION.findall(path.read_text("utf-8"))
        if body.count("\n") > FUNCTION_LINES and "switch (" not in body
    ]
    assert too_long == []


def test_python_functions_fit_on_a_screen() -> None:
    too_long = [
        f"{shown(path)}: {node.name}"
        for path in python_files("taskrt", "examples")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and body_lines(node) > FUNCTION_LINES
    ]
    assert too_long == []


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    has_docstring = ast.get_docstring(node) is not None
    body = node.body[1:] if has_docstring else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_atomics_are_used_only_through_their_header() -> None:
    functions = r"\batomic_(?!init\b)\w+\s*\(|__atomic_|__sync_"
    pattern = functions + r"|<stdatomic\.h>|\bmemory_order_"
    files = [p for p in c_files("csrc") if p != RUNTIME / "os/atomics.h"]
    assert findings(pattern, files) == []


def test_runtime_knows_no_python() -> None:
    pattern = r"Python\.h|\bPy[A-Z_]\w*|\bgreenlet\b"
    assert findings(pattern, c_files("csrc/runtime", "csrc/kernels")) == []


def test_platforms_differ_only_in_the_lowest_layer() -> None:
    pattern = r"^\s*#.*\b(_WIN32|_MSC_VER|__linux__|__APPLE__|__FreeBSD__|__unix__)\b"
    lowest = [*c_files("csrc/runtime/os"), ROOT / "csrc/kernels/scratch.c"]
    files = [p for p in c_files("csrc") if p not in lowest]
    assert findings(pattern, files) == []


def test_python_versions_differ_only_in_one_header() -> None:
    pattern = r"\bPY_VERSION_HEX\b|\bPy_GIL_DISABLED\b|\bPy_BUILD_CORE"
    files = [p for p in c_files("csrc/binding") if p != BINDING / "compat.h"]
    assert findings(pattern, files) == []


def test_python_objects_live_in_module_state() -> None:
    pattern = r"^static\s+(\w+\s+)*PyObject\s*\*\s*\w+\s*(=|;|\[)"
    assert findings(pattern, c_files("csrc/binding")) == []


# Templates are included several times, and have none.
HEADERS = [p for p in C_FILES if p.suffix == ".h" and not p.stem.endswith("_template")]


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_header_has_its_guard(path: Path) -> None:
    name = path.stem.upper()
    text = without_comments(path.read_text("utf-8")).strip()
    guard = re.match(r"#ifndef (\w+)\n#define \1\n", text)
    assert guard is not None
    assert guard[1].endswith(f"{name}_H")
    assert text.endswith("#endif")


def test_sources_hold_no_wishes() -> None:
    wish = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    this_file = Path(__file__).name
    found = [
        f"{shown(path)}:{number}"
        for path in C_FILES + PYTHON_FILES
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1)
        if path.name != this_file and wish.search(line)
    ]
    assert found == []
