"""The command line: `python -m taskrt demo`, `bench` or `info`."""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import taskrt

# What the demo runs: the example, its arguments, and the module that it needs.
DEMO: tuple[tuple[str, list[str], str | None], ...] = (
    ("psort", ["20000000"], "numpy"),
    ("hash_tree", [], None),
    ("nqueens", ["12"], None),
    ("fib", ["30"], None),
)

# The problems of the short bench: each compares with a budget and ends in seconds.
SHORT_BENCH = ("pair", "fib_levels", "fib_cutoff", "switch", "suspend", "wake")

WITH_GIL = """\
This interpreter has a GIL: one thread at a time runs Python code. psort gains from more
workers because NumPy sorts without the GIL. hash_tree reads and hashes without it, but
most files are small, and two threads that keep handing over the GIL can lose by it.
nqueens and fib are Python code from end to end: their tasks take turns, so serial speed
is the best they can reach, less what their tasks cost. A free-threaded interpreter
(python3.13t and later) runs all of them on all cores."""

WITHOUT_GIL = """\
This interpreter has no GIL: all of these run on every worker at once. What is missing
to a ratio of {workers} is the cost of tasks and the serial parts; fib with a task a
level does little else than spawn."""

SHARES = """\
In a picture, a leaf that waited for the GIL or for the processor looks busy too: what
it got is the share of a core at the end of its row. If the shares of psort do not come
near 100 %, other programs were using the cores."""


class Report(Protocol):
    """What an example's `measure` returns."""

    title: str
    serial: float
    parallel: dict[str, float]

    def show(self) -> int:
        """Print it all and return an exit status."""


def main(argv: list[str] | None = None) -> int:
    """Run the command that `argv` names and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m taskrt", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = commands.add_parser("demo", help="run the examples and show their gain")
    command.set_defaults(run=lambda _: demo())

    command = commands.add_parser("bench", help="measure against baselines, briefly")
    command.add_argument("names", nargs="*", default=SHORT_BENCH, metavar="NAME")
    command.set_defaults(run=lambda args: bench(args.names))

    command = commands.add_parser("info", help="show the runtime, build and settings")
    command.set_defaults(run=lambda _: info())

    args = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


def demo() -> int:
    """Run every example that can run here; return 1 if an answer was wrong."""
    folder = beside_package("examples", "examples")
    if folder is None:
        return fail("the examples are not installed with this package")
    status = 0
    table = [("", "serial", "parallel", "ratio")]
    for name, argv, needs in DEMO:
        if needs and importlib.util.find_spec(needs) is None:
            print(f"{name}: skipped, it needs {needs}: python -m pip install {needs}\n")
            table.append((name, "skipped", "", ""))
            continue
        report = load_example(folder, name)(argv)
        status |= report.show()
        print(flush=True)
        for way, seconds in report.parallel.items():
            what = name if way == "parallel" else f"{name}, {way}"
            ratio = f"{report.serial / seconds:.2f} x"
            table.append((what, f"{report.serial:.3f} s", f"{seconds:.3f} s", ratio))
    for what, *cells in table:
        print(f"{what:34}", *(f"{cell:>10}" for cell in cells if cell))
    workers = taskrt.num_threads()
    print("\n" + (WITH_GIL if gil_is_on() else WITHOUT_GIL.format(workers=workers)))
    print("\n" + SHARES)
    return status


def load_example(folder: Path, name: str) -> Callable[[list[str]], Report]:
    """Return the `measure` function of the example `name`."""
    sys.path.insert(0, str(folder))  # where its own imports look
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
    return cast(Callable[[list[str]], Report], module.measure)


def bench(names: list[str]) -> int:
    """Run the named problems of the bench at their small size."""
    folder = beside_package("bench", "tests/bench")
    if folder is None:
        return fail("the bench is not installed with this package")
    command = [sys.executable, str(folder / "run.py"), "--quick", *names]
    return subprocess.run(command, check=False).returncode


def info() -> int:
    """Print what `taskrt.info()` knows, a line each."""
    facts = taskrt.info()
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact}")
    return 0


def beside_package(installed: str, in_sources: str) -> Path | None:
    """Return the folder as it is installed, or in the sources, or None."""
    package = Path(taskrt.__file__).parent
    folders = (package / installed, package.parent / in_sources)
    return next((folder for folder in folders if folder.is_dir()), None)


def gil_is_on() -> bool:
    """Return whether this process has a GIL that is on."""
    ask: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return ask()


def fail(message: str) -> int:
    """Print the message as an error; return its exit status."""
    print(f"python -m taskrt: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
