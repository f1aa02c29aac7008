"""What every test runs under.

The watchdog is set up in pyproject.toml: after `timeout` seconds pytest-timeout dumps
the stacks of all threads and fails the test; if the main thread does not even listen to
signals any more, faulthandler dumps them later and ends the run.
"""

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

# Tests see the installed package, which has the compiled core, never the sources.
SOURCES = Path(__file__).parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != SOURCES]

import pytest  # noqa: E402 - so that a plain `python -m pytest` finds the right taskrt
from support.child import listen_to_ctrl_c  # noqa: E402
from support.native import NATIVE_TASKS, build_library  # noqa: E402
from support.places import Place, in_task, in_thread, on_main  # noqa: E402

import taskrt  # noqa: E402
from taskrt._config import read_settings  # noqa: E402

with suppress(ImportError):  # the tests of a wheel do without it
    from hypothesis.configuration import set_hypothesis_home_dir

    # Not beside the tests, where its folder would be searched for tests.
    set_hypothesis_home_dir(SOURCES / "build/hypothesis")


def pytest_configure() -> None:
    listen_to_ctrl_c()


def pytest_report_header() -> str:
    threads = read_settings().num_threads
    gil = "on" if gil_is_on() else "off"
    return f"taskrt: {threads} threads, GIL {gil}, {Path(taskrt.__file__).parent}"


def pytest_collection_finish() -> None:
    """Let collections pass over the tests themselves, of which there are many."""
    gc.collect()
    gc.freeze()


def gil_is_on() -> bool:
    ask: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return ask()


def collector_is_on() -> bool:
    """Whether it is on for good: greenlet turns it off while a thread switches.

    Without the GIL two threads that switch at once can leave it off, since the
    interpreter reads and writes it in two steps: what tests leave is seen with the GIL.
    """
    deadline = time.monotonic() + (30 if gil_is_on() else 1)
    while not gc.isenabled():
        if time.monotonic() >= deadline:
            if gil_is_on():
                return False
            gc.enable()
        time.sleep(0.0002)
    return True


@pytest.fixture(autouse=True)
def interpreter_as_it_was() -> Iterator[None]:
    """Fail a test that leaves the GIL switched over, or the garbage collector off."""
    before = gil_is_on()
    yield
    assert gil_is_on() == before
    assert collector_is_on()


@pytest.fixture
def set_num_threads() -> Iterator[Callable[[int], object]]:
    """Give `taskrt.set_num_threads`; the old number is back after the test."""
    before = taskrt.num_threads()
    yield taskrt.set_num_threads
    taskrt.set_num_threads(before)


@pytest.fixture
def interactive_threads() -> Iterator[Callable[[int], None]]:
    """Give what sets their number; the old one is back after the test."""
    before = taskrt.num_threads("interactive")
    yield lambda n: taskrt.set_num_threads(n, "interactive")
    taskrt.set_num_threads(before, "interactive")


@pytest.fixture(params=[1, 2, 4])
def threads(
    request: pytest.FixtureRequest, set_num_threads: Callable[[int], object]
) -> int:
    """Run the test with pools of these sizes."""
    set_num_threads(request.param)
    return int(request.param)


@pytest.fixture(params=[on_main, in_task, in_thread])
def run(request: pytest.FixtureRequest) -> Place:
    """Give what runs the test's body on main, in a task, and on a plain thread."""
    place: Place = request.param
    return place


@pytest.fixture(scope="session")
def lib(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Give the native tasks of support/native_tasks.c."""
    return build_library(NATIVE_TASKS, tmp_path_factory.mktemp("native") / "tasks.so")
