"""Children of children, each of which closes what its parent's runtime has opened.

The parent, whose tasks wait on that meanwhile, is not disturbed.
"""

import os
import traceback
from pathlib import Path

from support.gates import until_suspended

from taskrt import (
    Event,
    fetch,
    notify_closing,
    run_blocking,
    sleep,
    spawn,
    wait_readable,
)


def opened() -> list[str]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(path))
        except FileNotFoundError:
            continue  # that of the listing
    return sorted(found)


BEFORE = opened()


def use() -> None:
    """Have all that the runtime opens."""
    reader, writer = os.pipe()
    task = spawn(wait_readable, reader)
    until_suspended(task)
    sleep(0.001)
    os.write(writer, b"x")
    assert fetch(task) is True
    notify_closing(reader)
    os.close(reader)
    os.close(writer)
    assert run_blocking(int) == 0
    assert Event().wait(0.001) is False


def generation(depth: int) -> None:
    assert opened() == BEFORE
    use()
    assert len(opened()) > len(BEFORE)
    if depth == 0:
        return
    reader, writer = os.pipe()
    readers = [spawn(wait_readable, reader) for _ in range(3)]
    until_suspended(*readers)
    if depth % 2:
        fetch(spawn(fork, depth, [reader, writer]))
    else:
        fork(depth, [reader, writer])
    os.write(writer, b"x")
    assert [fetch(task) for task in readers] == [True] * 3
    notify_closing(reader)
    os.close(reader)
    os.close(writer)
    use()


def fork(depth: int, own: list[int]) -> None:
    pid = os.fork()
    if pid == 0:
        for descriptor in own:
            os.close(descriptor)
        run(depth - 1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def run(depth: int) -> None:
    try:
        generation(depth)
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # nobody writes to those that still wait


run(5)
print("all is well")
