"""Random numbers that do not depend on which thread runs what.

Each task has a generator of its own. Which numbers it gives follows from the generator
of the one that has spawned it and from how many that one had spawned before: so a
program that seeds its beginning repeats, whatever the number of threads, whoever steals
what, and however long things take. A spawn draws nothing, and a task that never asks
costs nothing.
"""

import hashlib
import operator
import os
import random as _random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast

from taskrt import _core

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RandomStreams", "numpy_random", "random", "seed_random"]

_T = TypeVar("_T")
_KINDS = ("random", "numpy")
_INHERITED: Any = object()
_outside = threading.local()  # the generators of code that runs in no task


def random() -> _random.Random:
    """Return the random generator of the task that this runs in.

    The same object each time in one task; it is nobody else's, and needs no lock.
    Outside of tasks each thread has one. Two runs of a program in which a task spawns
    the same tasks in the same order give each of them the same numbers, once the first
    of them, or the main thread, has called `seed_random`; unseeded ones begin with what
    the operating system draws. What is spawned by other tasks, or drawn, has no
    influence.

    What runs wherever there is time gives numbers that no seed repeats, and leaves the
    streams of the tasks that it runs in as they are: done callbacks, bodies of parallel
    loops, and calls that native code makes. In a loop, use `RandomStreams`.

    Not a suspension point; any thread. Source: Julia's task-local generator.

    >>> from taskrt import fetch, random, seed_random, spawn
    >>> seed_random(2024)
    >>> dice = [spawn(lambda: random().randrange(6)) for _ in range(8)]
    >>> [1 + fetch(die) for die in dice]
    [6, 1, 2, 5, 5, 5, 2, 5]
    """
    key = _core._random_key()
    if key is None:
        return _strays("random", _random.Random)
    return _kept("random", key, _seeded)


def numpy_random() -> "np.random.Generator":
    """Return NumPy's random generator of the task that this runs in.

    As `random`, with streams of its own: a `numpy.random.Generator` of the default
    kind, seeded by a `SeedSequence`, so that its `spawn` gives further ones. Imports
    NumPy, and raises ImportError if there is none. Not a suspension point; any thread.
    """
    import numpy as np

    key = _core._random_key()
    if key is None:
        return _strays("numpy", np.random.default_rng)
    return _kept("numpy", key, _numpy_seeded)


def seed_random(seed: SupportsIndex | str | bytes | None = None) -> None:
    """Begin anew the random numbers of this task, and of all that it spawns hereafter.

    seed  what they follow from: any int, str or bytes; None: what the operating system
          draws

    Outside of tasks it does this for the thread. Tasks that were spawned before keep
    their streams. Raises RuntimeError in a done callback, in the body of a parallel
    loop and in a call from native code, whose numbers no seed repeats; TypeError for
    other seeds. Not a suspension point; any thread.
    """
    if not _core._seed_random(_key_from(seed)):
        raise RuntimeError(
            "seed_random() has no stream to seed here: what runs here, a done "
            "callback, the body of a parallel loop or a call from native code, belongs "
            "to no task of its own; seed before, and use RandomStreams in a loop"
        )
    values = _values()
    for kind in _KINDS:
        values.pop((_kept, kind), None)


class RandomStreams:
    """Random generators by number, for loops: streams[i] is the one of item i.

    seed  as for `seed_random`; left out, they follow from the task that makes them, as
          those of one more child

    Made once before the loop and used in its body, they give each item the same numbers
    however the loop is divided, and on any number of threads. Each access makes a
    generator, which takes some microseconds: where the body is shorter than that, draw
    for a block of items from that of its first one, in blocks of fixed size. Two are
    equal if they give the same numbers; can be pickled. Not a suspension point; any
    thread.

    >>> from taskrt import RandomStreams
    >>> streams = RandomStreams(7)
    >>> [streams[i].randrange(100) for i in range(5)]
    [82, 79, 9, 88, 73]
    >>> streams[3].randrange(100)
    88
    """

    __module__ = "taskrt"
    __slots__ = ("_key",)
    __iter__ = None  # there is no end

    def __init__(self, seed: SupportsIndex | str | bytes | None = _INHERITED) -> None:
        inherits = seed is _INHERITED
        self._key = _core._random_child() if inherits else _key_from(seed)

    def __getitem__(self, index: SupportsIndex) -> _random.Random:
        """Return a new generator at the beginning of that stream.

        Raises IndexError for a negative number.
        """
        return _seeded(self._at(index))

    def numpy(self, index: SupportsIndex) -> "np.random.Generator":
        """Return a new generator of NumPy's at the beginning of that stream.

        Raises IndexError for a negative number, ImportError if there is no NumPy.
        """
        return _numpy_seeded(self._at(index))

    def _at(self, index: SupportsIndex) -> bytes:
        number = operator.index(index)
        if number < 0:
            raise IndexError(
                f"RandomStreams are numbered from 0, and {number} was asked for"
            )
        size = number.bit_length() // 8 + 1
        return self._key + number.to_bytes(size, "little")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RandomStreams):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __getstate__(self) -> bytes:
        return self._key

    def __setstate__(self, state: bytes) -> None:
        self._key = state


def _key_from(seed: object) -> bytes:
    """Return 16 bytes that are others for each seed."""
    if seed is None:
        text = b"n" + _random.SystemRandom().randbytes(16)
    elif isinstance(seed, str):
        text = b"s" + seed.encode("utf-8", "surrogatepass")
    elif isinstance(seed, bytes):
        text = b"b" + seed
    elif hasattr(seed, "__index__"):
        text = b"i%x" % operator.index(cast(SupportsIndex, seed))
    else:
        raise TypeError(
            f"a seed is an int, a str, bytes or None, not {type(seed).__name__!r}"
        )
    return hashlib.sha256(text).digest()[:16]


def _seeded(key: bytes) -> _random.Random:
    return _random.Random(key)  # which hashes it, by SHA-512


def _numpy_seeded(key: bytes) -> "np.random.Generator":
    import numpy as np

    # Other than what `random` hashes, so that the two are independent.
    entropy = int.from_bytes(hashlib.sha256(b"numpy" + key).digest(), "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def _kept(kind: str, key: bytes, make: Callable[[bytes], _T]) -> _T:
    """Return this task's generator of that kind, made anew if it has another key now:
    this is a forked child.
    """
    values = _values()
    kept = cast("tuple[bytes, _T] | None", values.get((_kept, kind)))
    if kept is None or kept[0] != key:
        kept = values[_kept, kind] = key, make(key)
    return kept[1]


def _strays(kind: str, make: Callable[[], _T]) -> _T:
    """Return this thread's generator for what counts as no part of a task."""
    values = _of_thread()
    kept = cast("tuple[int, _T] | None", values.get((_strays, kind)))
    if kept is None or kept[0] != os.getpid():  # a forked child has others
        kept = values[_strays, kind] = os.getpid(), make()
    return kept[1]


def _values() -> dict[object, object]:
    values = _core._locals()
    return _of_thread() if values is None else values


def _of_thread() -> dict[object, object]:
    return cast(dict[object, object], _outside.__dict__)
