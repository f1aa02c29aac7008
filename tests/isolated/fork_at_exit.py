"""The parent ends with work left, after a child that ended with work of its own."""

import os

from taskrt import spawn

for _ in range(20):
    spawn(os.write, 1, b"parent's\n")
pid = os.fork()
if pid == 0:
    for _ in range(10):
        spawn(os.write, 1, b"child's\n")
else:
    assert os.waitpid(pid, 0)[1] == 0
