"""A with-block of a lock that nobody else wants, against one of threading's."""

from collections.abc import Iterator

from _measure import Row, cost_row, side_by_side

from lock.body import UNROLLED

KINDS = ("Lock", "RLock", "Semaphore")


def make(size: str) -> tuple[str, range]:
    """Return the kind of lock, and the loop: `size` is both, as in "Lock 1000"."""
    kind, _, blocks = size.partition(" ")
    return kind, range(int(blocks) // UNROLLED)


def is_right(answer: object, size: str) -> bool:
    """Return whether the lock is free again."""
    return answer is True and size.startswith(KINDS)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare each kind with threading's of the same name."""
    blocks, repeats = (100_000, 7) if quick else (1_000_000, 15)
    for kind, budget in zip(KINDS, (1.5, 1.5, None), strict=True):
        sides = side_by_side(
            "lock",
            "with_taskrt",
            base="with_threading",
            size=f"{kind} {blocks}",
            repeats=repeats,
        )
        yield cost_row(f"{kind}, a with-block / threading's", sides, budget, blocks)
