"""With the system's own action for SIGINT, the signal ends the process at once."""

import signal

from support.gates import Gate

from taskrt import fetch

signal.signal(signal.SIGINT, signal.SIG_DFL)
gate = Gate()
print("waiting", flush=True)
fetch(gate.task)
