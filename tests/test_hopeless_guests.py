"""Main learns that nothing can run any more also when it has run guests before."""

import pytest
from support.child import run_script
from support.sources import ROOT


@pytest.mark.isolated
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_main_is_told_of_locks_that_guests_hold(workers: int) -> None:
    env = {"TASKRT_NUM_THREADS": str(workers)}
    script = ROOT / "tests/isolated/hopeless_guests.py"
    run_script(script, env=env, timeout=20)
