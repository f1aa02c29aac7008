"""The exit code is the program's, whatever the tasks do; argv[1] says how main ends."""

import os
import sys

from taskrt import fetch, spawn


def work() -> None:
    os.write(1, b"ran\n")


spawn(work)
spawn(sys.exit, 5).defuse()
if sys.argv[1] == "exit":
    sys.exit(3)
if sys.argv[1] == "raise":
    raise ValueError("main's own")
if sys.argv[1] == "task's exit":
    fetch(spawn(sys.exit, 4))
if sys.argv[1] == "at once":
    fetch(spawn(os._exit, 7))
