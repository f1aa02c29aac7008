"""Examples agree with their serial runs at every pool size, and draw what happened."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support.child import Result, run_script
from support.sources import ROOT, shown

EXAMPLES = ROOT / "examples"
SMALL = {
    "fib": ["16", "--cutoff", "8"],
    "hash_tree": [str(ROOT / "taskrt")],
    "nqueens": ["6"],
    "psort": ["100000"],
}

Load = Callable[[str], ModuleType]


def run_example(name: str, *args: str, workers: int = 2, **env: str) -> Result:
    if name == "psort":
        pytest.importorskip("numpy")
    path = os.pathsep.join([str(EXAMPLES), *env.pop("PYTHONPATH", "").split()])
    environment = {"TASKRT_NUM_THREADS": str(workers), "PYTHONPATH": path, **env}
    return run_script(EXAMPLES / f"{name}.py", *args, env=environment)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Give a function that imports an example anew."""
    monkeypatch.syspath_prepend(EXAMPLES)
    for path in EXAMPLES.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module


def test_every_example_is_tested_and_listed() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py") if path.stem[0] != "_"}
    assert names == set(SMALL)
    index = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"[`{name}.py`]({name}.py)" in index for name in names)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("[!_]*.py")), ids=shown)
def test_example_is_short(path: Path) -> None:
    lines = path.read_text("utf-8").partition('"""\n')[2].splitlines()
    code = [line for line in lines if line.strip() and '"""' not in line]
    assert len(code) <= 60


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_example_agrees_with_its_serial_run(name: str, workers: int) -> None:
    lines = run_example(name, *SMALL[name], workers=workers).stdout.splitlines()
    assert lines[0].endswith(f", {workers} worker{'s' * (workers > 1)}")
    assert "answers     equal" in " ".join(lines)
    rows = [line.split("|") for line in lines if line.count("|") == 2]
    labels = [row[0].split() for row in rows]
    assert 1 <= len(labels) <= workers
    assert all(word == "worker" and int(i) < workers for word, i in labels)
    assert any(row[1].strip() for row in rows)


@pytest.mark.parametrize("name", SMALL)
def test_example_fails_when_the_answers_differ(
    name: str,
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name == "psort":
        pytest.importorskip("numpy")
    example = load(name)
    part = "merge" if name == "psort" else "serial"
    wrong = b"wrong" if name == "hash_tree" else -1
    monkeypatch.setattr(example, part, lambda *_: wrong)
    assert example.main(SMALL[name]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_psort_says_what_to_install(tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')"
    (tmp_path / "numpy.py").write_text(missing)
    path = os.pathsep.join([str(tmp_path), str(EXAMPLES)])
    env = {"PYTHONPATH": path}
    result = run_script(EXAMPLES / "psort.py", "10", env=env, expect=1)
    assert result.stderr == "psort needs NumPy: python -m pip install numpy\n"


@pytest.mark.parametrize("size", [0, 1, 2, 99, 1000])
@pytest.mark.parametrize("grain", [1, 7, 100])
@pytest.mark.parametrize("spread", [1, 3, 1000])
def test_psort_sorts_as_the_stable_sort_does(
    load: Load, size: int, grain: int, spread: int
) -> None:
    np = pytest.importorskip("numpy")
    numbers = np.random.default_rng(size * grain).integers(0, spread, size) / 2
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size)
    numbers = np.where(numbers == 0, 0.0 * signs, numbers)  # zeros of both signs
    numbers[::17] = np.nan
    expected = np.sort(numbers, kind="stable")
    load("psort").psort(numbers, grain)
    # Bit by bit, so that equals out of their order are seen.
    assert numbers.tobytes() == expected.tobytes()


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("outlier", [-1.0, 2.0])
def test_psort_splits_merges_of_very_unequal_parts(
    load: Load, place: int, outlier: float
) -> None:
    np = pytest.importorskip("numpy")
    numbers = np.linspace(0, 1, 20_000)
    numbers[place] = outlier
    expected = np.sort(numbers)
    load("psort").psort(numbers, 10)
    assert numbers.tobytes() == expected.tobytes()


@pytest.mark.parametrize("mid", [0, 1, 3, 50, 97, 99, 100])
def test_psort_merges_runs_of_unequal_length(load: Load, mid: int) -> None:
    np = pytest.importorskip("numpy")
    numbers = np.random.default_rng(mid).random(100)
    expected = np.sort(numbers)
    numbers[:mid].sort()
    numbers[mid:].sort()
    load("psort").merge(numbers, mid, 2)
    assert numbers.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("n", "boards"), [(1, 1), (2, 0), (4, 2), (6, 4), (8, 92)])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nqueens_counts_right(load: Load, n: int, boards: int, rows: int) -> None:
    assert load("nqueens").queens(n, min(rows, n)) == boards


def test_hash_tree_tells_trees_apart(load: Load, tmp_path: Path) -> None:
    example = load("hash_tree")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("one")
    (tmp_path / "link").symlink_to("sub")
    before = example.hash_tree(str(tmp_path))
    assert before == example.serial(str(tmp_path))

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").write_text("left out")
    assert example.hash_tree(str(tmp_path)) == before
    (tmp_path / "sub" / "file").write_text("two")
    assert example.hash_tree(str(tmp_path)) != before
    (tmp_path / "sub" / "file").write_text("one")
    (tmp_path / "sub" / "file").rename(tmp_path / "sub" / "other")
    assert example.hash_tree(str(tmp_path)) != before


def test_picture_shows_who_did_what_when(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("_picture")
    monkeypatch.setattr(module, "num_threads", lambda: 4)
    picture = module.Picture()
    picture.start, picture.end = 0.0, 1.0
    picture.spans += [
        module.Span(0, "sort", 0.0, 0.5, 0.5),
        module.Span(0, "merge", 0.5, 1.0, 0.25),
        module.Span(2, "sort", 0.25, 0.5, 0.25),
        module.Span(-1, "merge", 0.75, 1.0, 0.25),
    ]
    assert picture.draw(8, "#o").splitlines() == [
        "     other |      oo|  25% of a core",
        "  worker 0 |####oooo|  75% of a core",
        "  worker 2 |  ##    |  25% of a core",
        "         2 more workers found nothing to do",
        "            0 s1.000 s   # sort, o merge",
    ]


def test_picture_of_nothing_has_no_rows(load: Load) -> None:
    picture = load("_picture").Picture()
    assert "|" not in picture.draw()
    assert "found nothing to do" in picture.draw()


def test_picture_is_ascii_where_stdout_is(load: Load) -> None:
    module = load("_picture")
    assert module.glyphs_for("utf-8") == module.BLOCKS
    for encoding in ("ascii", "latin-1", "no such encoding", None):
        assert module.glyphs_for(encoding) == module.ASCII
    assert run_example("nqueens", "5", PYTHONIOENCODING="ascii").stdout.isascii()
    assert not run_example("nqueens", "5", PYTHONIOENCODING="utf-8").stdout.isascii()
