"""Forked children leave a group that other threads spawn into at that moment."""

import os
import signal
import sys
import warnings

from taskrt import TaskGroup, sleep

warnings.simplefilter("ignore", DeprecationWarning)
is_over = False


def feed(group: TaskGroup) -> None:
    while not is_over:
        for _ in range(50):
            group.spawn(int)
        sleep(0)


codes = []
with TaskGroup() as group:
    for _ in range(2):
        group.spawn(feed, group)
    for _ in range(15):
        sleep(0.001)
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)  # ends a child that hangs
            break
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    is_over = True
if pid == 0:
    try:
        group.spawn(int)
    except RuntimeError as error:
        os._exit("parent" not in str(error))
    os._exit(2)
sys.exit(str(codes) if any(codes) else 0)
