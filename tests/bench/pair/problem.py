"""One task, spawned and fetched, against the call that it wraps."""

from collections.abc import Iterator

from _measure import Row, cost_row, is_installed, side_by_side

UNROLLED = 10  # calls in one turn of a loop, so that the loop itself counts little
ANSWER = 42
PEERS = {
    "with_executor": ("ThreadPoolExecutor", "concurrent.futures"),
    "with_gevent": ("gevent", "gevent"),
    "with_asyncio": ("asyncio", "asyncio"),
}


def empty() -> int:
    """Return a constant: the call that all else is measured in."""
    return ANSWER


def make(size: int) -> range:
    """Return the loop of so many calls, `UNROLLED` at a time."""
    return range(size // UNROLLED)


def is_right(answer: object, size: int) -> bool:
    """Return whether the last call came through."""
    return answer == ANSWER and size >= UNROLLED


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare taskrt with its budget, then each peer."""
    size, repeats = (100_000, 7) if quick else (500_000, 15)
    for workers, budget in ((1, 6.0), (2, None)):
        sides = side_by_side(
            "pair", "with_taskrt", size=size, repeats=repeats, workers=workers
        )
        what = f"fetch(spawn(f)) / f(), {workers} worker{'s' * (workers > 1)}"
        yield cost_row(what, sides, budget, each=size)
    if quick:
        return
    for ours, (name, module) in PEERS.items():
        what = f"{name} / f()"
        if is_installed(module):
            sides = side_by_side("pair", ours, size=20_000, repeats=5, workers=2)
            yield cost_row(what, sides, None, each=20_000)
        else:
            yield Row(what, note=f"skipped: {module} is not installed")
