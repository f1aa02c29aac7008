"""The command line: `python -m taskrt` and its commands."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import taskrt
from taskrt import __main__ as command_line

COMMANDS = ["demo", "bench", "info"]
WITH_NUMPY = ("psort", ["50000"], "numpy")
WITHOUT_NUMPY = (
    ("hash_tree", [str(Path(taskrt.__file__).parent)], None),
    ("nqueens", ["6"], None),
    ("fib", ["12", "--cutoff", "6"], None),
)


@pytest.fixture
def bench() -> Path:
    """Give the folder of the bench."""
    folder = command_line.beside_package("bench", "tests/bench")
    assert folder is not None
    return folder


def run_taskrt(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "taskrt", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_every_command() -> None:
    result = run_taskrt("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^ +{command} ", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = run_taskrt(command, "--help")
    assert result.returncode == 0
    assert f"usage: python -m taskrt {command}" in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["info", "extra"], "unrecognized arguments: extra"),
    ],
    ids=["no command", "unknown command", "extra argument"],
)
def test_wrong_command_line_is_an_error(args: list[str], said: str) -> None:
    result = run_taskrt(*args)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_info_prints_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts.keys() == taskrt.info().keys()
    assert facts["version"] == taskrt.info()["version"]
    assert facts["num_threads"] == str(taskrt.num_threads())


def test_info_reports_a_wrong_environment() -> None:
    code = (
        "import os, runpy, sys\n"
        "os.environ['TASKRT_NUM_THREADS'] = 'two'\n"
        "sys.argv[1:] = ['info']\n"
        "runpy.run_module('taskrt', run_name='__main__')\n"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "TASKRT_NUM_THREADS" in result.stderr
    assert "'two'" in result.stderr


def test_demo_shows_every_example_and_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("numpy")
    monkeypatch.setattr(command_line, "DEMO", (WITH_NUMPY, *WITHOUT_NUMPY))
    assert command_line.main(["demo"]) == 0
    out = capsys.readouterr().out
    assert out.count("answers     equal") == 4
    assert len(re.findall(r"worker \d+ \|", out)) >= 4
    for row in ("psort", "hash_tree", "nqueens", "fib, a task a level"):
        assert re.search(rf"^{row} .* s .* s .* x$", out, re.MULTILINE)
    assert ("has a GIL" in out) == command_line.gil_is_on()
    assert ("has no GIL" in out) != command_line.gil_is_on()


def test_demo_goes_on_without_numpy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_missing = ("psort", ["50000"], "no_such_module")
    monkeypatch.setattr(command_line, "DEMO", (needs_missing, *WITHOUT_NUMPY))
    assert command_line.main(["demo"]) == 0
    out = capsys.readouterr().out
    skipped = "psort: skipped, it needs no_such_module: "
    assert f"{skipped}python -m pip install no_such_module\n" in out
    assert re.search(r"^psort +skipped$", out, re.MULTILINE)
    assert out.count("answers     equal") == 3


def test_demo_fails_if_an_answer_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Wrong:
        title, serial, parallel = "wrong", 1.0, {"parallel": 1.0}

        def show(self) -> int:
            return 1

    monkeypatch.setattr(command_line, "load_example", lambda *_: lambda _: Wrong())
    monkeypatch.setattr(command_line, "DEMO", WITHOUT_NUMPY)
    assert command_line.main(["demo"]) == 1
    assert "nqueens" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["demo", "bench"])
def test_command_says_that_its_programs_are_missing(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "beside_package", lambda *_: None)
    assert command_line.main([command]) == 1
    assert "not installed with this package" in capsys.readouterr().err


def test_bench_measures_what_is_asked() -> None:
    result = run_taskrt("bench", "tiny_map")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "-- tiny_map: " in result.stdout
    assert "-- pair: " not in result.stdout
    assert re.search(r"^map of 10,000, taskrt / serial .* x ", result.stdout, re.M)


def test_bench_writes_its_rows_as_json(bench: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ["--quick", "--json", str(file), "fib_cutoff"]
    command = [sys.executable, str(bench / "run.py"), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = json.loads(file.read_text())
    assert found["facts"]["taskrt"] == taskrt.info()["version"]
    assert len(found["rows"]) == 3
    for row in found["rows"]:
        measured = row["value"] is not None
        assert measured != command_line.gil_is_on()
        assert row["verdict"] in (("ok", "over") if measured else ("",))
        assert ("skipped" in row["note"]) != measured


def test_bench_refuses_a_wrong_answer(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(bench)
    measure = importlib.import_module("_measure")
    sides = {"problem": "tiny_map", "base": "serial", "ours": "with_taskrt"}
    found = measure.take_turns(2, size=10, **sides)
    assert {side: len(seconds) for side, seconds in found.items()} == {
        "base": 2,
        "ours": 2,
    }

    contender = importlib.import_module("tiny_map.with_taskrt")
    monkeypatch.setattr(contender, "run", lambda items: [*items])
    with pytest.raises(measure.WrongAnswerError, match="tiny_map.with_taskrt of 10"):
        measure.take_turns(2, size=10, **sides)


def test_bench_budget_has_a_side(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(bench)
    measure = importlib.import_module("_measure")
    sides = measure.Sides(base=[1.0, 2.0, 1.0], ours=[2.0, 4.0, 3.0])
    cost = measure.cost_row("cost", sides, 2.0)
    assert (cost.value, str(cost.budget), cost.verdict) == (2.0, "<= 2", "ok")
    gain = measure.gain_row("gain", sides, 1.8)
    assert (gain.value, str(gain.budget), gain.verdict) == (0.5, ">= 1.8", "over")
    assert measure.Row("nothing measured", budget=cost.budget).verdict == ""


def test_bench_refuses_an_unknown_problem() -> None:
    result = run_taskrt("bench", "dance")
    assert result.returncode == 2
    assert "no problem named 'dance'" in result.stderr


def test_short_bench_names_problems_that_exist(bench: Path) -> None:
    problems = {path.parent.name for path in bench.glob("*/problem.py")}
    assert problems.issuperset(command_line.SHORT_BENCH)
