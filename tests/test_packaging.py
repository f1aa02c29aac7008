"""What an installation holds: each source, nothing else, one version, the header."""

import importlib.metadata
import json
import re
from pathlib import Path

import pytest
from support.sources import ROOT

import taskrt

DISTRIBUTION = importlib.metadata.distribution("taskrt")


def is_editable() -> bool:
    origin = json.loads(DISTRIBUTION.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def files_below(folder: str) -> set[Path]:
    """Return the files that belong in an installation, as paths in the project."""
    return {
        path.relative_to(ROOT)
        for path in (ROOT / folder).rglob("*.*")
        if path.is_file()
        and path.name not in {"meson.build", "README.md"}
        and not re.search(r"/(__pycache__|\.[^/]*)/", str(path.relative_to(ROOT)))
    }


@pytest.mark.skipif(is_editable(), reason="an editable installation holds links only")
def test_installation_holds_the_package_and_nothing_else() -> None:
    listed = {Path(str(path)) for path in DISTRIBUTION.files or []}
    installed = {
        path
        for path in listed
        if ".dist-info" not in path.parts[0] and "__pycache__" not in path.parts
    }
    compiled = {path for path in installed if path.name.startswith("_core.cp")}
    assert len(compiled) == 1

    expected = files_below("taskrt")
    for folder in ("examples", "tests/bench"):
        expected |= {
            Path("taskrt", path.relative_to(Path(folder).parent))
            for path in files_below(folder)
        }
    assert installed - compiled == expected


def test_version_is_the_same_everywhere() -> None:
    declared = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())
    assert declared is not None
    assert DISTRIBUTION.version == declared[1]
    assert taskrt.__version__ == declared[1]


def test_greenlet_is_the_only_dependency() -> None:
    required = [text for text in DISTRIBUTION.requires or [] if "extra ==" not in text]
    assert [re.split(r"[<>=!~ ]", text)[0] for text in required] == ["greenlet"]


@pytest.mark.parametrize("name", ["taskrt.h", "taskrt_native.h"])
def test_get_include_leads_to_the_public_headers(name: str) -> None:
    header = Path(taskrt.get_include(), name)
    assert header.read_bytes() == (ROOT / "taskrt/include" / name).read_bytes()


def test_license_comes_along() -> None:
    assert DISTRIBUTION.metadata["License-Expression"] == "MIT"
    if not is_editable():
        names = [Path(str(path)).name for path in DISTRIBUTION.files or []]
        assert "LICENSE" in names
