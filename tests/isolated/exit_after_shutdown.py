"""A runtime that was shut down leaves nothing for the exit to do."""

import taskrt
from taskrt import fetch, spawn

tasks = [spawn(int) for _ in range(50)]
taskrt.shutdown()
assert all(task.done() for task in tasks)
assert [fetch(task) for task in tasks] == [0] * 50
taskrt.shutdown()
print("shut down twice")
