"""What docstrings and pages show is true."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest
from support.child import run_script
from support.sources import ROOT, python_files, shown

import taskrt

MODULES = [
    "taskrt." + path.stem
    for path in python_files("taskrt")
    if path.stem not in {"__init__", "__main__"}
]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]


@pytest.mark.parametrize("name", ["taskrt", *MODULES])
def test_examples_of_module_hold(name: str) -> None:
    if "numba" in name:
        pytest.importorskip("numba", "0.63")
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


@pytest.mark.isolated
def test_programs_of_the_readme_run() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    programs = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert programs
    for program in programs:
        if ">>>" not in program:
            run_script(program)
