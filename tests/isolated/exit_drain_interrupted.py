"""The exit drains a task that has no end, until Ctrl-C ends the drain.

argv[1]: "polite" reaches a checkpoint now and then, "deaf" never does.
"""

import os
import sys
import time
from collections.abc import Callable

from taskrt import spawn, yield_now


def endless(pause: Callable[[], object]) -> None:
    os.write(1, b"draining\n")
    while True:
        pause()


spawn(endless, yield_now if sys.argv[1] == "polite" else lambda: time.sleep(0.001))
