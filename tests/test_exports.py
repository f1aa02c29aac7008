"""The public names, all of them documented, and an import that changes nothing."""

import importlib
import inspect
import re
from types import ModuleType

import pytest
from support.child import run_script
from support.sources import ROOT

import taskrt

PUBLIC_NAMES = [
    "AtomicInt",
    "Barrier",
    "BoundedSemaphore",
    "CancelScope",
    "CancelSource",
    "CancelToken",
    "Cancelled",
    "CancelledError",
    "Channel",
    "ChannelClosed",
    "Condition",
    "DeadlockError",
    "Event",
    "Guarded",
    "INHERIT",
    "Latch",
    "Lock",
    "Once",
    "OncePerTask",
    "Queue",
    "RLock",
    "RandomStreams",
    "Semaphore",
    "ShutDown",
    "Spawner",
    "Task",
    "TaskGroup",
    "TaskLocal",
    "TaskLostError",
    "Timer",
    "Waiter",
    "as_completed",
    "available_cpus",
    "blocking",
    "cancel_requested",
    "checkpoint",
    "current_task",
    "fail_after",
    "fetch",
    "fetch_all",
    "get_include",
    "info",
    "isolated",
    "join",
    "limit",
    "move_on_after",
    "notify_closing",
    "num_threads",
    "numpy_random",
    "once",
    "race",
    "random",
    "run_blocking",
    "seed_random",
    "select",
    "set_num_threads",
    "shutdown",
    "sleep",
    "sleep_op",
    "spawn",
    "spawn_after",
    "spawn_later",
    "stats",
    "thread_id",
    "wait",
    "wait_all",
    "wait_any",
    "wait_readable",
    "wait_writable",
    "yield_now",
]

STATISTICS = [
    "BarrierStatistics",
    "ChannelStatistics",
    "ConditionStatistics",
    "EventStatistics",
    "LatchStatistics",
    "LockStatistics",
    "QueueStatistics",
    "SemaphoreStatistics",
    "WaiterStatistics",
]

NAMES_OF_MODULES = {
    "taskrt.native": [
        "NativeError",
        "address_of",
        "for_range",
        "reduce",
        "run",
        "spawn",
    ],
    "taskrt.native_numba": ["cancelled", "join", "run", "spawn"],
    "taskrt.interop.aio": ["from_async", "run"],
    "taskrt.interop.dask": ["get"],
    "taskrt.interop.futures": ["TaskExecutor"],
    "taskrt.interop.joblib": ["register"],
    "taskrt.interop.pool": ["AsyncResult", "IMapIterator", "Pool"],
    "taskrt.parallel": [
        "Reducer",
        "all",
        "any",
        "argsort",
        "chunks",
        "cumsum",
        "filter",
        "for_blocks",
        "for_each",
        "for_range",
        "imap",
        "map",
        "map_blocks",
        "max",
        "merge",
        "min",
        "reduce",
        "scan",
        "sort",
        "starmap",
        "sum",
    ],
    "taskrt.statistics": STATISTICS,
}

PAGES = {  # others: native.md
    "taskrt.interop.aio": "interop.md",
    "taskrt.interop.dask": "interop.md",
    "taskrt.interop.futures": "interop.md",
    "taskrt.interop.joblib": "interop.md",
    "taskrt.interop.pool": "interop.md",
    "taskrt.parallel": "parallel.md",
    "taskrt.statistics": "python.md",
}

TASK_NAMES = [
    "add_done_callback",
    "cancel",
    "cancelled",
    "defuse",
    "done",
    "exception",
    "id",
    "name",
    "pool",
    "report_errors",
    "result",
    "running",
    "schedule",
    "state",
    "wait_op",
]


def test_public_names_are_exactly_these() -> None:
    assert sorted(taskrt.__all__) == PUBLIC_NAMES


def test_nothing_else_looks_public() -> None:
    looks_public = {
        name
        for name, value in vars(taskrt).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert looks_public == set(PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_public_name_is_documented(name: str) -> None:
    value = getattr(taskrt, name)
    assert len(inspect.getdoc(value) or "") > 20
    if isinstance(value, type) and issubclass(value, BaseException):
        assert "__doc__" in vars(value), "inherits its docstring"


@pytest.mark.parametrize("module", NAMES_OF_MODULES)
def test_public_names_of_a_module_are_exactly_these(module: str) -> None:
    names = vars(import_module(module))
    assert sorted(names["__all__"]) == NAMES_OF_MODULES[module]
    looks_public = {
        name
        for name, value in names.items()
        if not name.startswith("_") and is_of(value, module)
    }
    assert looks_public == set(NAMES_OF_MODULES[module])


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in NAMES_OF_MODULES.items() for name in names],
)
def test_public_name_of_a_module_is_documented(module: str, name: str) -> None:
    value = getattr(import_module(module), name)
    assert len(inspect.getdoc(value) or "") > 20
    page = (ROOT / "docs/reference" / PAGES.get(module, "native.md")).read_text("utf-8")
    _, _, names = page.partition(f"module:: {module}\n")
    kind = "function|exception|class"
    assert re.search(rf"({kind}):: {name}\b", names.split("module::")[0])


def is_of(value: object, module: str) -> bool:
    """Whether it is defined there, or in a private module of that package."""
    home = getattr(value, "__module__", "")
    return home == module or home.startswith(f"{module}._")


def import_module(module: str) -> ModuleType:
    if module == "taskrt.native_numba":
        pytest.importorskip("numba", "0.63")
    return importlib.import_module(module)


def test_public_attributes_of_a_task_are_exactly_these() -> None:
    names = [name for name in dir(taskrt.Task) if not name.startswith("_")]
    assert names == TASK_NAMES


@pytest.mark.parametrize("name", TASK_NAMES)
def test_attribute_of_a_task_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(taskrt.Task, name))


def test_public_types_say_that_they_are_of_taskrt() -> None:
    types = [value for value in vars(taskrt).values() if isinstance(value, type)]
    assert {value.__module__ for value in types} == {"taskrt"}


@pytest.mark.isolated
def test_import_starts_no_thread_and_changes_nothing() -> None:
    run_script(
        """
        import gc, os, signal, sys, threading, types

        def state():
            return {
                "threads": len(os.listdir("/proc/self/task"))
                if os.path.isdir("/proc/self/task")
                else threading.active_count(),
                "handlers": [signal.getsignal(s) for s in signal.valid_signals()],
                "wakeup": signal.set_wakeup_fd(-1),
                "hooks": [
                    sys.excepthook,
                    sys.unraisablehook,
                    threading.excepthook,
                    sys.gettrace(),
                    sys.getprofile(),
                    sys.getswitchinterval(),
                ],
                "collector": [gc.isenabled(), gc.get_threshold(), list(gc.callbacks)],
                "environment": dict(os.environ),
            }

        before = state()
        import taskrt
        assert state() == before
        """
    )


@pytest.mark.isolated
def test_import_brings_in_little() -> None:
    """Every program pays for it, and all the children of these tests."""
    run_script(
        """
        import concurrent.futures  # which CancelledError is from
        import sys

        before = set(sys.modules)
        import taskrt
        taskrt.fetch(taskrt.spawn(abs, 1))
        heavy = {
            "asyncio",
            "ctypes",
            "importlib.metadata",
            "multiprocessing",
            "pathlib",
            "socket",
            "subprocess",
            "sysconfig",
            "taskrt.interop",
            "taskrt.native",
            "taskrt.parallel",
            "tempfile",
        }
        found = sorted(heavy & (set(sys.modules) - before))
        assert not found, found
        """
    )


@pytest.mark.isolated
def test_import_leaves_the_gil_off() -> None:
    run_script(
        """
        import sys

        gil_is_on = getattr(sys, "_is_gil_enabled", lambda: True)
        before = gil_is_on()
        import taskrt
        assert gil_is_on() == before
        """
    )
