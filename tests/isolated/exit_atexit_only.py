"""The first use of the runtime is in an atexit function."""

import atexit
import os

import taskrt


def use() -> None:
    os.write(1, b"%d\n" % taskrt.fetch(taskrt.spawn(len, "abc")))


atexit.register(use)
