"""Estimate a price by simulation, with a confidence interval that can be reproduced.

An Asian call option pays by how much the mean price of a share over a year is above the
strike. The estimate is the mean over many simulated years, and its error is known from
how much they vary. Random numbers are drawn by NumPy, which releases the GIL, from a
stream for each block of years: the number of the block makes the stream, not the thread
that happens to run it. So the answer is the same on any number of threads.

    python examples/monte_carlo.py 1000000
"""

import argparse
import sys
from functools import reduce
from itertools import starmap
from math import exp, sqrt

from _picture import Picture
from _report import Report, needed, timed

from taskrt import parallel

PICTURE = Picture()
BLOCK = 4096  # simulated years
DAYS = 64
START, STRIKE, RATE, SPREAD = 100.0, 100.0, 0.03, 0.2
SEED = 20_260_101


Sums = tuple[int, float, float]  # how many payoffs, their sum, that of their squares


def add(one: Sums, other: Sums) -> Sums:
    """Return both together."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def interval(count: int, total: float, squares: float) -> tuple[float, float]:
    """Return the mean, and how far off it is at most in 95 of 100 cases."""
    mean = total / count
    return mean, 1.96 * sqrt(max(0.0, squares / count - mean * mean) / count)


def simulate(block: int, count: int) -> Sums:
    """Return the payoffs of `count` years, from the stream of this block."""
    import numpy as np

    random = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(block,)))
    steps = random.standard_normal((count, DAYS))
    steps *= SPREAD / sqrt(DAYS)
    steps += (RATE - SPREAD * SPREAD / 2) / DAYS
    np.cumsum(steps, axis=1, out=steps)
    np.exp(steps, out=steps)
    payoff = exp(-RATE) * np.maximum(START * steps.mean(axis=1) - STRIKE, 0)
    return count, float(payoff.sum()), float(np.square(payoff).sum())


def sizes(years: int) -> list[int]:
    """Return how many years each block has."""
    return [min(BLOCK, years - low) for low in range(0, years, BLOCK)]


# [monte_carlo]
def serial(years: int) -> Sums:
    """Simulate one block after the other."""
    return reduce(add, starmap(simulate, enumerate(sizes(years))))


def monte_carlo(years: int) -> Sums:
    """Simulate the blocks on all threads, and add them up in order."""

    def leaf(block: int, count: int) -> Sums:
        return PICTURE.leaf("simulate", simulate, block, count)

    return reduce(add, parallel.starmap(leaf, enumerate(sizes(years)), grain=1))


# [/monte_carlo]


def measure(argv: list[str] | None = None) -> Report:
    """Estimate the price both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("years", type=int, nargs="?", default=400_000)
    years = max(1, parser.parse_args(argv).years)
    needed("monte_carlo", "numpy", "NumPy")
    base, expected = timed(serial, years)
    ours, found = PICTURE.watch(monte_carlo, years)
    price, error = interval(*found)
    title = f"monte_carlo of {years:,} years: {price:.4f} ± {error:.4f} (95 %)"
    return Report(title, base, {"parallel": ours}, found == expected, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the estimates differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
