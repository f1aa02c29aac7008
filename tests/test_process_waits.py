"""The edges of a process while tasks wait for primitives: Ctrl-C, exit, fork.

Each test runs a script of `isolated/`, whose first lines say what it tries.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from support.child import UNDER_ASAN, Result, run_script

TESTS = Path(__file__).parent

SIZES = (
    [os.environ["TASKRT_NUM_THREADS"]] if "TASKRT_NUM_THREADS" in os.environ else "128"
)

at_every_size = pytest.mark.parametrize("threads", SIZES)

pytestmark = pytest.mark.isolated


def run(script: str, threads: str) -> Result:
    return run_script(
        TESTS / "isolated" / f"{script}.py",
        env={"TASKRT_NUM_THREADS": threads, "PYTHONPATH": str(TESTS)},
        options=["-W", "ignore::DeprecationWarning"],
    )


@at_every_size
def test_ctrl_c_ends_every_wait_of_main_and_loses_nothing(threads: str) -> None:
    result = run("ctrl_c_waits", threads)
    assert (result.stdout, result.stderr) == ("as good as new\n", "")


@at_every_size
def test_exit_cancels_every_wait_and_lets_timed_ones_end(threads: str) -> None:
    result = run("exit_waits", threads)
    assert result.stderr == ""
    lines = Counter(result.stdout.splitlines())
    assert set(lines.values()) == {1}
    ends: dict[str, list[str]] = {"went on": [], "was cancelled": [], "cleaned up": []}
    for line in lines:
        for end, names in ends.items():
            if line.endswith(end):
                names.append(line.removesuffix(end).strip())
    assert sorted(ends["went on"]) == [
        "event with a timeout",
        "select with a time",
        "sleep",
    ]
    assert "detached sleep" in ends["was cancelled"]
    assert len(ends["was cancelled"]) >= 24
    assert sorted(ends["cleaned up"]) == sorted(ends["went on"] + ends["was cancelled"])
    assert len(lines) == 1 + 2 * len(ends["cleaned up"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", "1" if UNDER_ASAN else SIZES)
def test_fork_leaves_waits_to_the_parent(threads: str) -> None:
    result = run("fork_waits", threads)
    assert (result.stdout, result.stderr) == ("all is well\n", "")


@pytest.mark.parametrize("threads", SIZES)
def test_a_wait_beneath_a_handler_is_cancelled(threads: str) -> None:
    result = run("cancel_under_handler", threads)
    assert (result.stdout, result.stderr) == ("all is well\n", "")
