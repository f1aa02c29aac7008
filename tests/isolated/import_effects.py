"""Importing the package starts no thread and installs nothing."""

import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
import warnings


def surroundings() -> dict[str, object]:
    return {
        "signals": {n: signal.getsignal(n) for n in signal.valid_signals()},
        "wakeup fd": wakeup_fd(),
        "threads": sorted(os.listdir("/proc/self/task")),
        "threading": threading.enumerate(),
        "excepthook": sys.excepthook,
        "unraisablehook": sys.unraisablehook,
        "threading.excepthook": threading.excepthook,
        "displayhook": sys.displayhook,
        "trace": (sys.gettrace(), sys.getprofile()),
        "gc": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks)),
        "switch interval": sys.getswitchinterval(),
        "recursion limit": sys.getrecursionlimit(),
        "faulthandler": faulthandler.is_enabled(),
        "warnings": list(warnings.filters),
        "stdio": (sys.stdin, sys.stdout, sys.stderr),
        "environment": dict(os.environ),
        "files": len(os.listdir("/proc/self/fd")),
        "gil": getattr(sys, "_is_gil_enabled", lambda: None)(),
    }


def wakeup_fd() -> int:
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    return fd


before = surroundings()
taskrt = importlib.import_module("taskrt")

after = surroundings()
changed = {key for key in before if before[key] != after[key]}
assert not changed, changed
assert taskrt.spawn is not None
print("clean")
