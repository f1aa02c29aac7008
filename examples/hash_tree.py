"""Hash a directory tree: SHA-256 of every file, folded into one digest at the top.

A directory's digest covers its entries' names and digests, so two trees are equal
exactly when their digests are. Each directory and each file is a task. Reading and
hashing release the GIL, so large files gain from more workers on any interpreter; many
small ones, as in the standard library, gain only without a GIL, for otherwise threads
lose more by handing it over. Symbolic links and `__pycache__`, which running Python
rewrites, are left out.

    python examples/hash_tree.py /usr/share/doc
"""

import argparse
import os
import sys
import sysconfig
from hashlib import sha256
from io import FileIO

from _picture import Picture
from _report import Report, timed

from taskrt import fetch, spawn

PICTURE = Picture()


def hash_file(path: str) -> bytes:
    """Return the SHA-256 of the file's content."""
    with FileIO(path) as file:
        return sha256(file.read()).digest()


def entries(path: str) -> list[os.DirEntry[str]]:
    """Return the directories and regular files in `path`, by name."""
    with os.scandir(path) as found:
        kept = [e for e in found if not e.is_symlink() and e.name != "__pycache__"]
    return sorted((e for e in kept if e.is_dir() or e.is_file()), key=lambda e: e.name)


def fold(names: list[os.DirEntry[str]], digests: list[bytes]) -> bytes:
    """Return the digest of a directory from those of its entries."""
    whole = sha256()
    for entry, digest in zip(names, digests, strict=True):
        whole.update(os.fsencode(entry.name) + b"\0" + digest)
    return whole.digest()


def serial(path: str) -> bytes:
    """Return the digest of the tree at `path` by plain calls."""
    found = entries(path)
    hashed = [serial(e.path) if e.is_dir() else hash_file(e.path) for e in found]
    return fold(found, hashed)


# [hash_tree]
def hash_tree(path: str) -> bytes:
    """Return the same digest with a task for each entry."""
    found = entries(path)
    tasks = [
        spawn(hash_tree, entry.path)
        if entry.is_dir()
        else spawn(PICTURE.leaf, "read and hash", hash_file, entry.path)
        for entry in found
    ]
    return fold(found, [fetch(task) for task in tasks])


# [/hash_tree]


def measure(argv: list[str] | None = None) -> Report:
    """Hash the tree both ways, its files already in memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", nargs="?", default=sysconfig.get_path("stdlib"))
    path = parser.parse_args(argv).path
    expected = serial(path)
    base, again = timed(serial, path)
    ours, found = PICTURE.watch(hash_tree, path)
    title = f"hash_tree of {len(PICTURE.spans):,} files, {found.hex()[:12]}"
    equal = found == again == expected
    return Report(title, base, {"parallel": ours}, equal, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the digests differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
