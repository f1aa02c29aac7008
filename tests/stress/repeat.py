"""Run the scripts of the process's edges again and again and count what goes wrong.

    PYTHONSAFEPATH=1 python tests/stress/repeat.py [--times 200] [--threads 1,2,4]
        [--only fork] [--limit 1.0] [--load 2]

Each run is a process of its own: exit with tasks in every state, fork in mid-work,
Ctrl-C while main fetches. A run fails if it hangs (then the stacks of all its threads
are shown, by gdb if there is one), crashes, or prints anything but what it must. Runs
with the interpreter that runs this file; ends with status 1 if one run failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support.child import Child, Result, listen_to_ctrl_c  # noqa: E402

HANGS_AFTER_S = 60.0

Check = Callable[[Result], bool]


def prints(*expected: str) -> Check:
    """Check for these lines in any order, and nothing on stderr."""
    lines = Counter(expected)
    return lambda r: (
        (r.returncode, r.stderr, Counter(r.stdout.splitlines())) == (0, "", lines)
    )


def reports_failures(result: Result) -> bool:
    """Check that each unobserved failure of the script is reported once."""
    return result.returncode == 0 and all(
        result.stderr.count(f": <failure {i}>\n") == 1 for i in range(16)
    )


def is_interrupted(result: Result) -> bool:
    """Check for one traceback, of KeyboardInterrupt, and for its exit code."""
    return (
        result.returncode in (130, -signal.SIGINT)
        and result.stderr.count("Traceback (most recent call last)") == 1
        and "\nKeyboardInterrupt\n" in result.stderr
    )


def ends(result: Result) -> bool:
    """Check that it ended by itself, or by the signal that it was sent."""
    return result.returncode >= 0 or result.returncode == -signal.SIGINT


@dataclass(frozen=True)
class Script:
    """A script, its arguments, when to interrupt it, and what it must do."""

    name: str
    check: Check
    args: tuple[str, ...] = ()
    interrupt_after: str | None = None  # a line of its output
    bounded: bool = False  # from the interrupt to the end, --limit holds

    @property
    def title(self) -> str:
        return " ".join((self.name, *self.args))


BOTH = prints("child is well", "parent is well")
ALL_WELL = prints("all is well")

SCRIPTS = (
    Script("exit_pending", prints(*(f"ran {i}" for i in range(100)))),
    Script("exit_running", prints("ended")),
    Script(
        "exit_suspended",
        prints(
            *("stuck was cancelled", "stuck cleaned up"),
            *("behind it was cancelled", "behind it cleaned up"),
            *("lucky got in time", "lucky cleaned up"),
        ),
    ),
    Script("exit_failing", reports_failures),
    Script("exit_detached", prints("detached cleaned up", "drained")),
    Script("exit_with_waiting_threads", prints("joined got it")),
    Script("exit_finalizers", prints()),
    Script("exit_atexit_only", prints("3")),
    Script("exit_drain_interrupted", ends, ("polite",), "draining"),
    Script("exit_drain_interrupted", ends, ("deaf",), "draining"),
    Script("fork_in_main", BOTH, ("hard",)),
    Script("fork_in_main", BOTH, ("soft",)),
    Script("fork_in_task", BOTH, ("hard",)),
    Script("fork_in_task", BOTH, ("return",)),
    Script(
        "fork_in_thread", prints("child is well", "child is well", "parent is well")
    ),
    Script("fork_in_mid_work", ALL_WELL),
    Script("fork_grandchildren", ALL_WELL),
    Script("fork_multiprocessing", ALL_WELL),
    Script("fork_at_exit", prints(*["parent's"] * 20, *["child's"] * 10)),
    Script("ctrl_c_busy", is_interrupted, (), "main is in", bounded=True),
    Script("ctrl_c_deaf_guest", is_interrupted, (), "main is in", bounded=True),
    Script("ctrl_c_idle", is_interrupted),
    Script("ctrl_c_guest", prints("still the default in main")),
    Script("ctrl_c_inline", prints("interrupted", "interrupted")),
    Script("ctrl_c_workers", prints("unharmed")),
    Script("ctrl_c_handlers", prints("raised", "handled"), ("SIGINT",)),
    Script("ctrl_c_handlers", prints("raised", "handled"), ("SIGTERM",)),
)


@dataclass
class Tally:
    """What became of the runs of one script."""

    runs: int = 0
    slowest: float = 0.0
    problems: list[str] = field(default_factory=list)


def run_once(script: Script, threads: str, limit: float, tally: Tally) -> None:
    """Run the script once and note what was wrong with it."""
    tally.runs += 1
    child = Child(
        TESTS / "isolated" / f"{script.name}.py",
        *script.args,
        env={"TASKRT_NUM_THREADS": threads, "PYTHONPATH": str(TESTS)},
        # Python warns of every fork in a process with threads.
        options=["-W", "ignore::DeprecationWarning"],
        timeout=HANGS_AFTER_S,
    )
    with child:
        try:
            began = time.monotonic()
            if script.interrupt_after is not None:
                child.wait_for_line(script.interrupt_after)
                began = time.monotonic()
                child.send_signal(signal.SIGINT)
            result = child.finish(expect=None)
            took = time.monotonic() - began
        except AssertionError as hang:
            tally.problems.append(str(hang))
            return
    tally.slowest = max(tally.slowest, took)
    if not script.check(result):
        tally.problems.append(str(result))
    elif script.bounded and took > limit:
        tally.problems.append(f"took {took:.2f} s from the interrupt to the end")


def spin() -> None:
    """Keep a processor busy."""
    while True:
        pass


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Compete with that many busy processes for the processors."""
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=spin, daemon=True) for _ in range(processes)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def main() -> int:
    """Run what the arguments name and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200, help="runs of each script")
    parser.add_argument(
        "--threads", default="1,2,4", help="sizes of the pool, taken turns"
    )
    parser.add_argument("--only", default="", help="scripts whose name contains this")
    parser.add_argument("--limit", type=float, default=1.0, help="seconds for Ctrl-C")
    parser.add_argument("--load", type=int, default=0, help="busy processes beside it")
    options = parser.parse_args()
    listen_to_ctrl_c()
    sizes = options.threads.split(",")
    failures = 0
    print(f"{sys.version.split()[0]}, {os.cpu_count()} processors", flush=True)
    with load(options.load):
        for script in SCRIPTS:
            if options.only not in script.title:
                continue
            tally = Tally()
            for turn in range(options.times):
                run_once(script, sizes[turn % len(sizes)], options.limit, tally)
            failures += len(tally.problems)
            print(
                f"{script.title:32} {tally.runs} runs, {len(tally.problems)} failures, "
                f"slowest {tally.slowest:.2f} s",
                flush=True,
            )
            for problem in tally.problems[:3]:
                print(problem, flush=True)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
