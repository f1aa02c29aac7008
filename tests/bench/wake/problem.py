"""From a spawn on a busy thread to its start on a sleeping one; a futex wake beside."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from _measure import Budget, Row, call_in_child, short_time

WHAT = "spawn to start on a sleeper / futex wake"


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare the two, in turn, in one process."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        yield Row(WHAT, note="skipped: needs Linux and a C compiler named cc")
        return
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "futex.so")
        source = Path(__file__).with_name("futex.c")
        flags = ["-O2", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler, *flags, source, "-o", library], check=True)
        rounds = 100 if quick else 400
        found = call_in_child(
            "wake.with_taskrt:take_turns", 2, 600, str(library), rounds
        )
    base, ours = found["base"], found["ours"]
    ratios = [o / b for b, o in zip(base, ours, strict=True)]
    yield Row(
        WHAT,
        base=short_time(median(base)),
        ours=short_time(median(ours)),
        value=median(ours) / median(base),
        budget=Budget(1.3),
        note="ratio of medians, for single wakes vary much",
        samples=ratios,
    )
