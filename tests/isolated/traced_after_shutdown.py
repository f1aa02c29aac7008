"""Calls in traced functions go through after the threads of the pool have ended."""

import sys

import taskrt


def add(a: int, b: int) -> int:
    return a + b


taskrt.wait(*[taskrt.spawn(add, i, 1) for i in range(100)])
taskrt.shutdown()
for _ in range(50):
    add(1, 2)
sys.settrace(lambda frame, event, arg: None)
total = sum([add(i, 1) for i in range(10)])
sys.settrace(None)
print(total)
