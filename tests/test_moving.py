"""The programs of the pages on moving from something else run, theirs and ours."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.child import run_script
from support.sources import ROOT, shown

PAGES = sorted(ROOT.glob("docs/moving/*.md"))
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def programs() -> Iterator[Any]:
    for page in PAGES:
        for number, program in enumerate(PROGRAM.findall(page.read_text("utf-8")), 1):
            title = program.partition("\n")[0].lstrip("# ")
            yield pytest.param(program, id=f"{page.stem}-{number}-{title}")


def imported(program: str) -> set[str]:
    """Return the top-level modules that a program imports."""
    found = set()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.isolated
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("program", list(programs()))
def test_program_of_a_page_runs(program: str, workers: str) -> None:
    for name in sorted(imported(program)):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    assert "assert " in program
    # Some import what takes long to import.
    run_script(program, env={"TASKRT_NUM_THREADS": workers}, timeout=110)


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_program_says_first_whose_it_is(path: Path) -> None:
    for program in PROGRAM.findall(path.read_text("utf-8")):
        assert re.match(r"# [\w ,.-]+\n", program), program
