"""The runtime starts while a plain thread waits for the import that is under way."""

import sys
from pathlib import Path

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
(folder / "starter.py").write_text("""
import threading
from importlib import _bootstrap

outcomes = []

def load():
    import starter
    outcomes.append(starter.late)

thread = threading.Thread(target=load)
thread.start()
lock = _bootstrap._module_locks["starter"]()
while not lock.waiters:
    pass

from support.gates import pinned, until
from taskrt import wait

def look():
    import starter
    outcomes.append((hasattr(starter, "early"), hasattr(starter, "late")))

early = 1
# The lock that the thread sleeps in would take main's thread with it, and so all.
wait(pinned(look), timeout=60)
late = 2
""")

import starter  # type: ignore[import-not-found]  # noqa: E402

starter.thread.join()
assert starter.outcomes == [(True, False), 2], starter.outcomes
print("well")
