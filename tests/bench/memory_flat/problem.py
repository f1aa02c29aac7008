"""Memory over very many tasks one after another."""

from collections.abc import Iterator

from _measure import Budget, Row, call_in_child, can_read_rss


def rows(*, quick: bool) -> Iterator[Row]:
    """Measure how much the process grows after the first tenth of them."""
    count = 1_000_000 if quick else 10_000_000
    what = f"{count:,} tasks, growth after {count // 10:,}"
    if not can_read_rss():
        yield Row(what, note="skipped: needs /proc/self/statm")
        return
    samples = call_in_child("memory_flat.with_taskrt:rss_by_tenths", 2, 600, count)
    yield Row(
        what,
        value=(max(samples) - samples[0]) / 1e6,
        unit="MB",
        budget=Budget(1.0),
        note=f"{samples[0] / 1e6:.1f} MB after the first tenth",
        samples=samples,
    )
