"""shutdown(cancel=True) ends native work that runs. argv[1]: the library of tasks."""

import array
import ctypes
import sys
import time

import taskrt
from taskrt import native

lib = ctypes.CDLL(sys.argv[1])
data = array.array("q", [0, 0])
taskrt.set_num_threads(2)
task = native.spawn(lib.until_cancelled, data)
while data[0] == 0:  # until the pool's thread runs it
    time.sleep(0.001)
assert taskrt.shutdown(cancel=True)
assert task.cancelled()
print("ended")
