"""A signal handler that raises in the middle of our Python code loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.child import run_script

SCRIPT = Path(__file__).parent / "isolated" / "interrupts.py"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "call",
    [
        "limit",
        "group",
        "limited_group",
        "both",
        "fastest",
        "all_of_them",
        "in_order",
        "after",
    ],
)
def test_nothing_is_lost_or_left_behind(call: str, threads: int) -> None:
    result = run_script(SCRIPT, call, env={"TASKRT_NUM_THREADS": str(threads)})
    assert result.stdout == "done\n"
