"""Fork before the first use: both processes start a runtime of their own."""

import os

import taskrt

pid = os.fork()
assert taskrt.fetch(taskrt.spawn(len, "abc")) == 3
if pid:
    assert os.waitpid(pid, 0)[1] == 0
    print("all is well")
