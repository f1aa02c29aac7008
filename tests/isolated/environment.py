"""Print what the environment makes of the runtime, or the error, use after use."""

import sys
from collections.abc import Callable

import taskrt

uses: dict[str, Callable[[], int]] = {
    "num_threads": taskrt.num_threads,
    "spawn": lambda: taskrt.fetch(taskrt.spawn(taskrt.num_threads)),
}
for name in sys.argv[1:]:
    try:
        print(name, uses[name]())
    except ValueError as error:
        print(name, "ValueError:", error)
