"""What docstrings and pages show is true."""

import ctypes
import doctest
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.child import run_script
from support.native import build_library
from support.sources import ROOT, python_files, shown

import taskrt
from taskrt import native

MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in python_files("taskrt")
    if path.stem not in {"__init__", "__main__"}
]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
# Not those of the pages that were built, which have a copy each.
C_FILES = sorted(set(ROOT.glob("docs/**/*.c")) - set(ROOT.glob("docs/_build/**/*.c")))
C_BLOCK = re.compile(r"^```c\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["taskrt", "taskrt.parallel", *MODULES])
def test_examples_of_module_hold(name: str) -> None:
    if "numba" in name:
        pytest.importorskip("numba", "0.63")
    for library in "dask", "joblib":
        if library in name:
            pytest.importorskip(library, reason=f"{library} is not installed")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", [*taskrt.__all__, *dir(taskrt.Task)])
def test_examples_of_public_name_hold(name: str) -> None:
    # Also those of the compiled core, whose docstrings testmod() does not find.
    value = getattr(taskrt, name, None) or getattr(taskrt.Task, name)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    names = {"taskrt": taskrt} | {
        name: getattr(taskrt, name) for name in taskrt.__all__
    }
    text = inspect.getdoc(value) or ""
    runner.run(parser.get_doctest(text, names, name, None, None))
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_examples_of_page_hold(path: Path) -> None:
    assert doctest.testfile(str(path), module_relative=False).failed == 0


def places_in(page: Path) -> set[str]:
    """Return what can follow a # in a link to this page."""
    text = re.sub(
        r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_links_of_page_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in link:
            continue
        name, _, place = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if place and target.suffix == ".md":
            assert place in places_in(target), link


@pytest.mark.isolated
def test_programs_of_the_readme_run() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    programs = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert programs
    for program in programs:
        if ">>>" not in program:
            run_script(program)


@pytest.mark.parametrize("path", C_FILES, ids=shown)
def test_c_file_of_the_docs_is_shown_and_run(path: Path, tmp_path: Path) -> None:
    [page] = [
        text
        for text in (page.read_text("utf-8") for page in PAGES)
        if f"```{{literalinclude}} {path.name}" in text
    ]
    # Without a warning here; the page's doctest builds it and calls what it has.
    assert re.search(rf'^\s*>>> .*"{shown(path)}"', page, re.MULTILINE)
    build_library(path, tmp_path / "library.so")


def test_c_code_within_pages_is_that_of_the_readme_alone() -> None:
    pages = [page for page in PAGES if C_BLOCK.search(page.read_text("utf-8"))]
    assert pages == [ROOT / "README.md"]


class FibArg(ctypes.Structure):
    """fib_arg of the code below."""

    _fields_ = (("n", ctypes.c_int), ("result", ctypes.c_long))


def c_code_of_readme() -> str:
    [code] = C_BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    known = (
        "#include <taskrt_native.h>\ntypedef struct { int n; long result; } fib_arg;"
    )
    return f"{known}\n{code}"


def c_code_of_header() -> str:
    text = (ROOT / "taskrt/include/taskrt_native.h").read_text("utf-8")
    lines = text[: text.index("*/")].splitlines()
    mark = " *     "
    return "\n".join(line.removeprefix(mark) for line in lines if mark in line)


@pytest.mark.parametrize("code_of", [c_code_of_readme, c_code_of_header])
def test_first_native_task_counts_right(
    code_of: Callable[[], str], tmp_path: Path
) -> None:
    source = tmp_path / "fib.c"
    entry = "int begin(trt_context *ctx, void *p);\n"
    entry += "int begin(trt_context *ctx, void *p) { return fib(ctx, p); }\n"
    source.write_text(f"{code_of()}\n{entry}")
    data = FibArg(20, 0)
    native.run(build_library(source, tmp_path / "fib.so").begin, data)
    assert data.result == 6765
