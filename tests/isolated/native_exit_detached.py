"""The exit beside a detached task whose native code offers children until it is asked.

argv[1]: the library of tasks.
"""

import array
import ctypes
import os
import sys

from taskrt import Spawner, native, num_threads

lib = ctypes.CDLL(sys.argv[1])
data = array.array("q", [0, 0])
Spawner(detached=True)(native.run, lib.offers_until_told, data)
if num_threads() > 1:  # with one thread it does not begin before the exit
    while data[1] == 0:
        pass
os.write(1, b"exits\n")
