"""The calls, by taskrt, from the main thread."""

from taskrt import run_blocking


def run(data: range) -> int:
    """Return the sum of what the calls return."""
    return sum(run_blocking(int, n) for n in data)
