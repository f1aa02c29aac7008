"""Objects that use the runtime die with the modules, after everything has ended."""

import sys

import taskrt


class Late:
    def __init__(self):
        self.task = taskrt.spawn(int)
        self.spawn, self.wait = taskrt.spawn, taskrt.wait

    def __del__(self):
        self.wait(self.task)
        try:
            self.wait(self.spawn(int))
        except RuntimeError:
            pass


late = Late()
late_cycle = Late()
late_cycle.itself = late_cycle
sys.late = Late()
del late_cycle
