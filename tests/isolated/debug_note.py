"""With TASKRT_DEBUG=1 the note on a failure tells where its task was spawned."""

from pathlib import Path

from taskrt import Spawner, fetch


def fail() -> None:
    raise ValueError


task = Spawner(name="culprit")(fail)
line = (
    Path(__file__)
    .read_text()
    .splitlines()
    .index('task = Spawner(name="culprit")(fail)')
)
try:
    fetch(task)
except ValueError as error:
    print(error.__notes__ == [f"in task culprit, spawned at {__file__}:{line + 1}"])
    print(error.__notes__)
