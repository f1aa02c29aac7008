"""The memory of a suspended task, against a greenlet that runs the same function."""

from collections.abc import Iterator
from statistics import median

from _measure import Budget, Row, call_in_child, can_read_rss


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare the two, each in fresh processes, in turn."""
    count, turns = (2_000, 3) if quick else (20_000, 5)
    what = f"{count:,} suspended tasks / greenlets"
    if not can_read_rss():
        yield Row(what, note="skipped: needs /proc/self/statm")
        return
    found: dict[str, list[float]] = {"with_greenlet": [], "with_taskrt": []}
    for _ in range(turns):
        for who, samples in found.items():
            function = f"memory_suspended.{who}:bytes_each"
            samples.append(call_in_child(function, 1, 600, count))
    base, ours = found["with_greenlet"], found["with_taskrt"]
    ratios = [o / b for b, o in zip(base, ours, strict=True)]
    yield Row(
        what,
        base=f"{median(base):.0f} B",
        ours=f"{median(ours):.0f} B",
        value=median(ratios),
        budget=Budget(1.3),
        note=f"{min(ratios):.2f} to {max(ratios):.2f}",
        samples=ratios,
    )
