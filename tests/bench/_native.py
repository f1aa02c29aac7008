"""Native contenders: C functions, compiled when the bench runs, that take turns.

The folder of a native problem has `serial.c`, `with_taskrt.c`, `with_openmp.c` and
`with_tbb.cpp`. Each defines `run`, which gets a pointer to what the problem's `make`
returns, a ctypes structure, and the number of workers; that of taskrt is a native task.
All of them run in one fresh process, one after the other, turn after turn, so that what
else the machine does hits all. Between two of them is a pause, in which the threads of
the one before go to sleep. `is_right` gets the structure, and the library of `serial.c`
for checks that are long.
"""

import contextlib
import ctypes
import importlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from _measure import Row, Sides, WrongAnswerError, call_in_child, gain_row

import taskrt
from taskrt import native

HERE = Path(__file__).parent
SERIAL, TASKRT, OPENMP, TBB = "serial", "with_taskrt", "with_openmp", "with_tbb"
PEERS = {OPENMP: "OpenMP", TBB: "oneTBB"}
WORKERS = (1, 2)
PAUSE_S = 0.02  # OpenMP's threads look for work for 5 ms before they sleep
TIE = 0.97  # as fast as a peer, but for what one run differs from the next


@dataclass(frozen=True)
class Compiler:
    """How to make a library: the compiler, its flags, and a header that it needs."""

    command: str
    suffix: str
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ("-lm",)
    needs: str = "stdint.h"


COMPILERS = {
    SERIAL: Compiler("cc", ".c"),
    TASKRT: Compiler("cc", ".c", ("-I", taskrt.get_include())),
    OPENMP: Compiler("cc", ".c", ("-fopenmp",), needs="omp.h"),
    TBB: Compiler("c++", ".cpp", libraries=("-ltbb",), needs="oneapi/tbb/task_group.h"),
}

Libraries = dict[str, str]  # where they are, by who is in them


@contextlib.contextmanager
def compiled(problem: str) -> Iterator[Libraries]:
    """Give the libraries of those contenders that can be compiled here, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for who, compiler in COMPILERS.items():
            if is_usable(compiler):
                source = HERE / problem / (who + compiler.suffix)
                found[who] = str(Path(folder, who + ".so"))
                flags = ["-O2", "-fPIC", "-shared", *compiler.flags]
                files = [source, "-o", found[who], *compiler.libraries]
                subprocess.run([compiler.command, *flags, *files], check=True)
        yield found


def is_usable(compiler: Compiler) -> bool:
    """Return whether the compiler is here, and finds what it needs."""
    if shutil.which(compiler.command) is None or sys.platform == "win32":
        return False
    check = [compiler.command, *compiler.flags, "-E", "-x", "c++", "-"]
    if compiler.suffix == ".c":
        check[-2] = "c"
    done = subprocess.run(
        check,
        input=f"#include <{compiler.needs}>\n",
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode == 0


Entry = tuple[str, int]  # who, and with how many workers


@dataclass(frozen=True)
class Contest:
    """Seconds of each turn of each entry."""

    seconds: dict[Entry, list[float]]

    def row(
        self, what: str, base: Entry, ours: Entry, budget: float | None = None
    ) -> Row:
        """Return the row of how many times faster than the base ours is."""
        for entry in (base, ours):
            if entry not in self.seconds:
                return missing(what, entry[0])
        sides = Sides(base=self.seconds[base], ours=self.seconds[ours])
        return gain_row(what, sides, budget)

    def serial_row(self, what: str, budget: float | None = None) -> Row:
        """Return the row of one worker against serial code."""
        what = f"{what}, serial / taskrt, 1 worker"
        return self.row(what, (SERIAL, 1), (TASKRT, 1), budget)

    def scaling_row(self, what: str, budget: float | None = None) -> Row:
        """Return the row of two workers against one."""
        what = f"{what}, taskrt, 1 / 2 workers"
        return self.row(what, (TASKRT, 1), (TASKRT, 2), budget)

    def peer_rows(self, what: str) -> Iterator[Row]:
        """Yield the rows of taskrt against each peer with as many workers."""
        for workers in WORKERS:
            for who, name in PEERS.items():
                line = f"{what}, {name} / taskrt, {shown(workers)}"
                yield self.row(line, (who, workers), (TASKRT, workers), TIE)


def missing(what: str, who: str) -> Row:
    """Return the row of something that cannot be measured without `who`."""
    return Row(what, note=f"skipped: no {PEERS.get(who, 'C compiler named cc')} here")


def shown(workers: int) -> str:
    """Write the number of workers."""
    return f"{workers} worker{'s' * (workers > 1)}"


def hold_contest(
    problem: str,
    libraries: Libraries,
    *,
    size: object,
    repeats: int,
    seconds: float = 600.0,
) -> Contest:
    """Let all whose library there is take turns in a fresh process."""
    asked = {"problem": problem, "libraries": libraries, "size": size}
    most = max(WORKERS)
    found = call_in_child("_native:take_turns", most, seconds, repeats, **asked)
    return Contest({(who, workers): times for who, workers, times in found})


def take_turns(
    repeats: int, *, problem: str, libraries: Libraries, size: Any
) -> list[tuple[str, int, list[float]]]:
    """Run each in turn, after one untimed run of each; check every answer."""
    about = importlib.import_module(f"{problem}.problem")
    loaded = {who: ctypes.CDLL(path) for who, path in libraries.items()}
    runs = {who: runner(who, library) for who, library in loaded.items()}
    entered = [
        (who, workers)
        for who in libraries
        for workers in (WORKERS if who != SERIAL else (1,))
    ]
    found: dict[tuple[str, int], list[float]] = {one: [] for one in entered}
    for turn in range(repeats + 1):
        for who, workers in entered:
            data = about.make(size)
            if who == TASKRT:
                start_workers(workers)
            time.sleep(PAUSE_S)
            start = perf_counter()
            runs[who](data, workers)
            taken = perf_counter() - start
            if not about.is_right(data, size, loaded[SERIAL]):
                answer = [getattr(data, name) for name, *_ in data._fields_]
                raise WrongAnswerError(f"{problem}.{who} of {size}: {answer}")
            if turn:
                found[who, workers].append(taken)
    return [(*one, times) for one, times in found.items()]


def start_workers(workers: int) -> None:
    """Set their number, and make sure that all of them are there."""
    taskrt.set_num_threads(workers)
    taskrt.wait(*(taskrt.spawn(time.sleep, 0.001) for _ in range(2 * workers)))


def runner(who: str, library: ctypes.CDLL) -> Callable[[ctypes.Structure, int], None]:
    """Return what runs a contender on its data with so many workers."""
    function = library.run
    if who == TASKRT:
        return lambda data, _: native.run(function, data)
    function.restype = None
    return lambda data, workers: function(ctypes.byref(data), workers)
