"""The source files of the project, for the tests that read them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "csrc/runtime"
BINDING = ROOT / "csrc/binding"

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def c_files(*folders: str) -> list[Path]:
    """Return the C sources and headers below `folders` of the project."""
    return _files(folders, "*.[ch]")


def python_files(*folders: str) -> list[Path]:
    """Return the Python sources below `folders` of the project."""
    return _files(folders, "*.py")


def shown(path: Path) -> str:
    """Return the path as it stands in the project."""
    return path.relative_to(ROOT).as_posix()


def comments(text: str) -> Iterator[str]:
    """Yield the comments of a C source."""
    for match in _COMMENT.finditer(text):
        yield match[0]


def without_comments(text: str) -> str:
    """Return a C source with blank lines in place of its comments."""
    return _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)


def _files(folders: tuple[str, ...], pattern: str) -> list[Path]:
    found = sorted(path for name in folders for path in (ROOT / name).rglob(pattern))
    assert found, f"no {pattern} in {folders}"
    return found
