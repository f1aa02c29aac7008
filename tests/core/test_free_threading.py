"""The GIL stays off and the collector on, with the greenlet that is installed."""

from __future__ import annotations

import gc
import sys
import sysconfig
from pathlib import Path

import pytest
from support.child import run_script

from taskrt import fetch, spawn

SCRIPTS = Path(__file__).parents[1] / "isolated"
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
needs_free_threading = pytest.mark.skipif(
    not free_threaded, reason="needs a free-threaded interpreter"
)


def gil_is_on() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


@needs_free_threading
def test_gil_is_off_in_tasks() -> None:
    assert fetch(spawn(gil_is_on)) is False


def test_collector_is_on_in_tasks() -> None:
    assert fetch(spawn(gc.isenabled)) is True


@pytest.mark.isolated
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_heavy_load_leaves_gil_and_collector_as_they_were(threads: int) -> None:
    result = run_script(
        SCRIPTS / "heavy_load.py",
        env={"TASKRT_NUM_THREADS": str(threads), "PYTHONPATH": str(SCRIPTS.parent)},
    )
    assert result.stdout == f"gil {not free_threaded} threads {threads}\n"
    assert result.stderr == ""


@pytest.mark.isolated
@needs_free_threading
@pytest.mark.parametrize("version", ["3.2.2", "3.3.0", "3.5.3", "1.0"])
def test_greenlet_that_breaks_free_threading_is_refused(version: str) -> None:
    result = run_script(SCRIPTS / "old_greenlet.py", version)
    assert result.stdout.startswith("ImportError: ")
    assert "greenlet" in result.stdout
    assert version in result.stdout


@pytest.mark.isolated
@pytest.mark.parametrize("version", ["3.5.4", "3.5.6", "3.10.0", "4.0", "4.0a1"])
def test_later_greenlets_are_accepted(version: str) -> None:
    result = run_script(SCRIPTS / "old_greenlet.py", version)
    assert result.stdout == "imported\n"
