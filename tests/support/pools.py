"""Tasks of the interactive pool, and which pool some code runs in."""

from __future__ import annotations

from support.gates import here

from taskrt import Spawner, thread_id

interactive = Spawner(pool="interactive")
same = Spawner(pool="same")

PATIENCE = 60  # seconds: a hang guard

DEFAULT = ("default", False)
INTERACTIVE = ("interactive", True)


def pool_here() -> tuple[str, bool]:
    """The pool of the current task, and whether its thread is an interactive one."""
    return here().pool, thread_id() <= -2
