"""Objects that use the runtime die with the modules, after everything has ended."""

import sys

import taskrt


class Late:
    itself: object = None

    def __init__(self) -> None:
        self.task = taskrt.spawn(int)
        self.spawn, self.wait = taskrt.spawn, taskrt.wait

    def __del__(self) -> None:
        self.wait(self.task)
        try:
            self.wait(self.spawn(int))
        except RuntimeError:
            pass


late = Late()
late_cycle = Late()
late_cycle.itself = late_cycle
setattr(sys, "late", Late())  # noqa: B010
del late_cycle
