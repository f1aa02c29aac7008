"""Forks in a callback that attaches by itself, while a thief has a child of that code.

argv[1]: the library of tasks.
"""

import array
import ctypes
import os
import sys

from taskrt import native

lib = ctypes.CDLL(sys.argv[1])
pids = []


@ctypes.CFUNCTYPE(ctypes.c_int)
def fork() -> int:
    pids.append(os.fork())
    if pids[0] == 0:
        os.write(1, b"child's callback returns\n")
    return 0


address = ctypes.cast(fork, ctypes.c_void_p).value
native.run(lib.calls_beside_a_stolen_child, array.array("q", [address or 0, 0]))
assert pids[0] != 0, "there is nobody who would end the stolen child"
assert os.waitpid(pids[0], 0)[1] == 0
os.write(1, b"parent is well\n")
