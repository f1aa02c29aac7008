"""The public names, all of them documented, and an import that changes nothing."""

import inspect

import pytest
from support.child import run_script

import taskrt

PUBLIC_NAMES = [
    "Cancelled",
    "CancelledError",
    "DeadlockError",
    "INHERIT",
    "Spawner",
    "Task",
    "TaskLostError",
    "available_cpus",
    "cancel_requested",
    "checkpoint",
    "current_task",
    "fetch",
    "get_include",
    "info",
    "num_threads",
    "set_num_threads",
    "shutdown",
    "spawn",
    "stats",
    "thread_id",
    "wait",
    "yield_now",
]

TASK_NAMES = [
    "add_done_callback",
    "cancel",
    "cancelled",
    "defuse",
    "done",
    "exception",
    "id",
    "name",
    "result",
    "running",
    "state",
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
