"""What an example found: times, ratio, whether the answers agree; and a picture."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

from _picture import Picture

from taskrt import num_threads

P = ParamSpec("P")
T = TypeVar("T")


def timed(fn: Callable[P, T], *args: P.args, **kw: P.kwargs) -> tuple[float, T]:
    """Call `fn` once; return its seconds and its answer."""
    start = perf_counter()
    answer = fn(*args, **kw)
    return perf_counter() - start, answer


def needed(example: str, module: str, package: str) -> Any:
    """Import a module; without it, end the program and say what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        command = f"python -m pip install {package.lower()}"
        sys.exit(f"{example} needs {package}: {command}")


@dataclass(frozen=True)
class Report:
    """One example's result: `parallel` has seconds by the name of the way it ran.

    `sketch` is drawn below the picture: what was computed, if that can be looked at.
    """

    title: str
    serial: float
    parallel: dict[str, float]
    equal: bool
    picture: Picture | None = None
    sketch: str = ""

    def show(self) -> int:
        """Print all of it; return the exit status, 1 if the answers differ."""
        workers = num_threads()
        print(f"{self.title}, {workers} worker{'s' * (workers > 1)}")
        print(f"{'serial':>24} {self.serial:9.3f} s")
        for way, seconds in self.parallel.items():
            print(f"{way:>24} {seconds:9.3f} s {self.serial / seconds:8.2f} x serial")
        print(f"{'answers':>24} {'equal' if self.equal else 'DIFFERENT':>9}")
        if self.picture:
            print(self.picture.draw())
        if self.sketch:
            print(self.sketch)
        return 0 if self.equal else 1
