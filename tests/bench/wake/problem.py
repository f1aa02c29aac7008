"""From a spawn on a busy thread to its start on a sleeping one; a futex wake beside."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from _measure import Budget, Row, call_in_child, short_time

BASES = (
    ("futex", "spawn to start on a sleeper / futex wake", Budget(1.3)),
    ("lock", "the same / a Python thread that a lock wakes", None),
)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with a bare wake, and with that of a thread which needs the GIL too."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        yield Row(BASES[0][1], note="skipped: needs Linux and a C compiler named cc")
        return
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "futex.so")
        source = Path(__file__).with_name("futex.c")
        flags = ["-O2", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler, *flags, source, "-o", library], check=True)
        rounds = 100 if quick else 400
        function = "wake.with_taskrt:take_turns"
        found = call_in_child(function, 2, 600, str(library), rounds)
    ours = found["taskrt"]
    for who, what, budget in BASES:
        base = found[who]
        yield Row(
            what,
            base=short_time(median(base)),
            ours=short_time(median(ours)),
            value=median(ours) / median(base),
            budget=budget,
            note="ratio of medians: single wakes vary much",
            samples=[o / b for b, o in zip(base, ours, strict=True)],
        )
