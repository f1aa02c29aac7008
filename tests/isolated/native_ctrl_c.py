"""Ctrl-C ends native work on main that looks for it. argv[1]: the library of tasks."""

import array
import ctypes
import os
import signal
import sys
import threading
import time

from taskrt import native

lib = ctypes.CDLL(sys.argv[1])
data = array.array("q", [0, 0])


def press() -> None:
    while data[0] == 0:  # until main runs it
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)


threading.Thread(target=press).start()
try:
    native.run(lib.until_signal, data)
except KeyboardInterrupt:
    print("interrupted")
