"""Tasks one after another, and batches of them."""

from _measure import WrongAnswerError, rss_bytes

from taskrt import fetch, spawn

BATCH = 100


def rss_by_tenths(count: int) -> list[int]:
    """Return the process's memory after each tenth of so many tasks."""
    found = []
    for _ in range(10):
        total = 0
        for i in range(0, count // 10, BATCH):
            if i % (2 * BATCH):
                total += sum(fetch(spawn(int, 1)) for _ in range(BATCH))
            else:
                total += sum(map(fetch, [spawn(int, 1) for _ in range(BATCH)]))
        if total != count // 10:
            raise WrongAnswerError(f"{total} of {count // 10} tasks counted")
        found.append(rss_bytes())
    return found
