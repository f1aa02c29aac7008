"""How the bench measures: side by side, in processes of their own, medians of ratios.

A problem is a folder. Its `problem.py` makes the input, knows the answer and lists the
rows; `serial.py` and `with_<who>.py` each have `run(data)`, which returns an answer.
Two of them are compared in one fresh process in which they take turns, A B A B, so that
what else the machine does hits both; the ratio is the median over the turns.
"""

import importlib
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Budget:
    """What a row may reach: at most, or at least, so much."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Return whether `value` is within the budget."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table. The budget is about `value`; None is not measured."""

    what: str
    base: str = ""
    ours: str = ""
    value: float | None = None
    unit: str = "x"
    budget: Budget | None = None
    note: str = ""
    samples: list[float] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Return `ok` or `over`, or nothing where there is no budget or no value."""
        if self.budget is None or self.value is None:
            return ""
        return "ok" if self.budget.holds(self.value) else "over"


@dataclass(frozen=True)
class Sides:
    """Seconds that each of two took, turn by turn."""

    base: list[float]
    ours: list[float]

    def costs(self) -> list[float]:
        """Return how many times the base's time ours took, turn by turn."""
        return [o / b for b, o in zip(self.base, self.ours, strict=True)]

    def gains(self) -> list[float]:
        """Return how many times faster than the base ours was, turn by turn."""
        return [b / o for b, o in zip(self.base, self.ours, strict=True)]


class WrongAnswerError(Exception):
    """A contender's answer differs from the problem's."""


def side_by_side(
    problem: str,
    ours: str,
    *,
    base: str = "serial",
    size: object = None,
    repeats: int = 5,
    workers: int = 1,
    seconds: float = 600.0,
) -> Sides:
    """Time `ours` against `base` in a fresh process with so many workers.

    Raises `subprocess.TimeoutExpired` if that takes longer than `seconds`.
    """
    asked = {"problem": problem, "base": base, "ours": ours, "size": size}
    found = call_in_child("_measure:take_turns", workers, seconds, repeats, **asked)
    return Sides(**found)


def call_in_child(
    function: str, workers: int, seconds: float = 600.0, *args: Any, **kw: Any
) -> Any:
    """Call `module:name` in a fresh process with so many workers; return its result.

    Arguments and result are what JSON can carry.
    """
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": path, "TASKRT_NUM_THREADS": str(workers)}
    command = [sys.executable, str(HERE / "_measure.py")]
    done = subprocess.run(
        [*command, function, json.dumps([args, kw])],
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{function} {args} {kw} failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def take_turns(
    repeats: int, *, problem: str, base: str, ours: str, size: Any
) -> dict[str, list[float]]:
    """Run base and ours in turn, after one untimed run of each; check every answer."""
    about = importlib.import_module(f"{problem}.problem")
    names = {"base": base, "ours": ours}
    found: dict[str, list[float]] = {side: [] for side in names}
    for turn in range(repeats + 1):
        for side, name in names.items():
            run = importlib.import_module(f"{problem}.{name}").run
            data = about.make(size)
            start = perf_counter()
            answer = run(data)
            seconds = perf_counter() - start
            if not about.is_right(answer, size):
                raise WrongAnswerError(f"{problem}.{name} of {size}: {answer!r:.200}")
            if turn:
                found[side].append(seconds)
    return found


def cost_row(what: str, sides: Sides, budget: float | None, each: int = 1) -> Row:
    """Return the row of something that may take so many times as long as the base.

    `each` is how many operations one turn made; the times shown are for one of them.
    """
    return _row(what, sides, sides.costs(), budget and Budget(budget), each)


def gain_row(what: str, sides: Sides, budget: float | None, each: int = 1) -> Row:
    """Return the row of something that must be so many times faster than the base."""
    goal = budget and Budget(budget, at_least=True)
    return _row(what, sides, sides.gains(), goal, each)


def _row(what: str, sides: Sides, ratios: list[float], budget: Any, each: int) -> Row:
    return Row(
        what,
        base=short_time(statistics.median(sides.base) / each),
        ours=short_time(statistics.median(sides.ours) / each),
        value=statistics.median(ratios),
        budget=budget,
        note=f"{min(ratios):.2f} to {max(ratios):.2f}",
        samples=ratios,
    )


def short_time(seconds: float) -> str:
    """Write a time with three digits and its unit."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{three_digits(seconds * factor)} {unit}"
    return f"{three_digits(seconds * 1e9)} ns"


def three_digits(value: float) -> str:
    """Write a number with three digits that count."""
    places = max(0, 2 - math.floor(math.log10(abs(value) or 1)))
    return f"{value:.{min(places, 3)}f}"


def rss_bytes() -> int:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def can_read_rss() -> bool:
    """Return whether `rss_bytes` works here."""
    return Path("/proc/self/statm").exists()


def is_installed(module: str) -> bool:
    """Return whether `module` can be imported here."""
    return importlib.util.find_spec(module) is not None


def gil_is_on() -> bool:
    """Return whether this interpreter runs one thread at a time."""
    ask: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return ask()


def answer_call(function: str, packed: str) -> None:
    """Call `module:name` with the packed arguments and print its result as JSON."""
    module, _, name = function.partition(":")
    args, kw = json.loads(packed)
    print(json.dumps(getattr(importlib.import_module(module), name)(*args, **kw)))


if __name__ == "__main__":
    answer_call(*sys.argv[1:])
