"""The runtime starts when an import has ended that several plain threads wait for.

They wake one after another, each by the one before it.
"""

import sys
import threading
from pathlib import Path

import taskrt

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
(folder / "waits.py").write_text("""
import sys

def is_blocked(frame):
    return frame.f_code.co_name == "acquire"  # of the module's lock

while sum(map(is_blocked, sys._current_frames().values())) < 5:
    pass
sys.setswitchinterval(100)  # the runtime shall start before any of them has woken
""")
ended = []


def load(is_first: bool) -> None:
    import waits  # type: ignore[import-not-found]  # noqa: F401

    if is_first:
        taskrt.spawn(int)
    ended.append(is_first)


threads = [threading.Thread(target=load, args=(i == 0,)) for i in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sorted(ended) == [False] * 5 + [True]
print("well")
