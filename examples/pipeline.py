"""Compress a directory's files in a pipeline: read, compress, sum up in order.

Three stages, each a task, joined by channels. A channel holds a few items: a stage that
is too fast for the next waits for it, so memory stays bounded however much there is to
read. Each channel is bound to the stage that fills it, which closes it when that stage
has ended: the loop of the next one then ends, or raises what the stage has failed with.

The stages themselves do little. A started task stays on its thread, so what is worth a
core, the compression, is a task for each item, which goes to whoever is idle. What goes
through the second channel are these tasks, in the order of the files. zlib compresses
without the GIL, so this gains from more workers on any interpreter.

    python examples/pipeline.py /usr/share/doc
"""

import argparse
import os
import sys
import sysconfig
import zlib
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from _picture import Picture
from _report import Report, timed

from taskrt import Channel, Task, TaskGroup, fetch, spawn

PICTURE = Picture()
LEFT_OUT = {"__pycache__", "site-packages", "test"}  # of folders below
BLOCK = 256 * 1024  # bytes that are compressed by themselves


def blocks(path: str) -> Iterator[bytes]:
    """Yield what the files below `path` hold, in an order that is always the same."""
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for file in (Path(folder, name) for name in sorted(names)):
            if file.is_file() and not file.is_symlink():
                with file.open("rb", buffering=0) as content:
                    while data := content.read(BLOCK):
                        yield data


def compress(data: bytes) -> bytes:
    """Return the data in fewer bytes."""
    return zlib.compress(data)


def serial(path: str) -> str:
    """Return the digest of all blocks, compressed one by one."""
    whole = sha256()
    for data in blocks(path):
        whole.update(compress(data))
    return whole.hexdigest()


def read(path: str, out: Channel[bytes]) -> None:
    """As the first stage: put what is in the files, block by block."""
    for data in blocks(path):
        out.put(data)


def start(contents: Iterable[bytes], out: Channel[Task[bytes]]) -> None:
    """As the second: have each compressed, and put the task that does it."""
    for data in contents:
        out.put(spawn(PICTURE.leaf, "compress", compress, data))


def digest(tasks: Iterable[Task[bytes]]) -> str:
    """As the third: take what the tasks return, in order."""
    whole = sha256()
    for task in tasks:
        whole.update(fetch(task))
    return whole.hexdigest()


def pipeline(path: str) -> str:
    """Return the same digest, with all three stages at work at once."""
    contents, tasks = Channel[bytes](16), Channel[Task[bytes]](16)
    with TaskGroup() as group:
        contents.bind(group.spawn(read, path, contents))
        tasks.bind(group.spawn(start, contents, tasks))
        result = group.spawn(digest, tasks)
    return result.result()


def measure(argv: list[str] | None = None) -> Report:
    """Compress the tree both ways, its files already in memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", nargs="?", default=sysconfig.get_path("stdlib"))
    path = parser.parse_args(argv).path
    size = sum(map(len, blocks(path)))
    base, expected = timed(serial, path)
    ours, found = PICTURE.watch(pipeline, path)
    title = f"pipeline of {len(PICTURE.spans):,} blocks, {size / 1e6:,.1f} MB"
    return Report(title, base, {"parallel": ours}, found == expected, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the digests differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
