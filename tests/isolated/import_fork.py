"""A task forks in the middle of an import, which child and parent both end."""

import os
import sys
from pathlib import Path

from support.gates import pinned, until_suspended

from taskrt import Event, fetch, spawn

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
(folder / "forks.py").write_text("import os\npid = os.fork()\nlate = 2\n")
(folder / "held.py").write_text("import __main__\nearly = 1\n__main__.event.wait()\n")
event = Event()


def load() -> int:
    import forks  # type: ignore[import-not-found]

    assert forks.late == 2
    if forks.pid:
        return os.waitpid(forks.pid, 0)[1]
    assert fetch(spawn(__import__, "forks")) is forks
    # Nobody is left who would end that one: its stack is the parent's.
    assert __import__("held").early == 1
    os._exit(7)


holder = pinned(__import__, "held")
until_suspended(holder)
status = fetch(pinned(load))
assert os.waitstatus_to_exitcode(status) == 7, status
event.set()
assert fetch(holder).early == 1
print("well")
