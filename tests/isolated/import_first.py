"""The runtime starts in the middle of an import, which tasks of its then ask for."""

import sys
from pathlib import Path

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
(folder / "starter.py").write_text("""
from support.gates import pinned, until_suspended

def load():
    import starter
    return starter.late

early = 1
guests = [pinned(load) for _ in range(3)]
until_suspended(*guests)
late = 2
""")

import starter  # type: ignore[import-not-found]  # noqa: E402

from taskrt import fetch  # noqa: E402

assert [fetch(guest) for guest in starter.guests] == [2, 2, 2]
print("well")
