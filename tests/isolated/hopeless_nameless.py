"""With TASKRT_DEBUG, main waits for a thread that threading does not know."""

import _thread
import time

from taskrt import Event

event = Event()


def set_it() -> None:
    time.sleep(0.05)
    event.set()


_thread.start_new_thread(set_it, ())
assert event.wait()
