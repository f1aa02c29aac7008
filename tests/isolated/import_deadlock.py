"""An import waits for a task that has come to wait for the import: the report tells."""

import faulthandler
import signal
import sys
from pathlib import Path

from taskrt import DeadlockError, Spawner, wait

# Handlers that are not Python's, as those of faulthandler, might end the wait.
faulthandler.disable()
for number in signal.valid_signals():
    if signal.getsignal(number) is None:
        signal.signal(number, signal.SIG_DFL)

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
(folder / "circular.py").write_text("""
import __main__
from support.gates import until_suspended
task = __main__.waiter()
until_suspended(task)
__main__.wait(task)
""")


def waiter() -> object:
    return Spawner(name="waiter", pinned=True)(__import__, "circular")


try:
    import circular  # type: ignore[import-not-found]  # noqa: F401
except DeadlockError as error:
    assert "waiter" in str(error), error
    assert "import of 'circular'" in str(error), error
    print("well")
_ = wait
