"""How many run at a time: counted without the runtime's own means.

gauge = Gauge()
... tasks call gauge.work() ...
assert gauge.most <= 2
"""

import threading
import time
from collections.abc import Callable


class Gauge:
    """Counts who is in `work` or between `enter` and `leave`; `most` at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.calls = 0

    def enter(self) -> None:
        with self._lock:
            self.now += 1
            self.calls += 1
            self.most = max(self.most, self.now)

    def leave(self) -> None:
        with self._lock:
            self.now -= 1

    def work(self, seconds: float = 0.0005) -> None:
        """Let go of the interpreter for a moment, so that others could get in."""
        self.enter()
        time.sleep(seconds)
        self.leave()

    def stay(self, wait: Callable[[], object]) -> None:
        """Be counted as long as `wait` takes, however it ends."""
        self.enter()
        try:
            wait()
        finally:
            self.leave()
