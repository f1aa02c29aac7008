"""A signal handler that raises in the middle of our Python code loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.child import run_script

SCRIPT = Path(__file__).parent / "isolated" / "interrupts.py"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "block", ["limit", "group", "limited_group", "both", "fastest"]
)
def test_no_scope_and_no_task_is_left_behind(block: str, threads: int) -> None:
    result = run_script(SCRIPT, block, env={"TASKRT_NUM_THREADS": str(threads)})
    assert result.stdout == "done\n"
