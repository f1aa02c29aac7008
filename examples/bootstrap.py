"""Bootstrap a correlation over real data: how sure are we of it?

The data are of 442 patients with diabetes (Efron, Hastie, Johnstone, Tibshirani, 2004;
scikit-learn brings them along): how is their body mass index correlated with how the
disease went on? The bootstrap draws as many patients at random, with repetition, and
looks again; over thousands of such samples the correlation varies about as much as it
would over other patients. Each block of samples has a stream of random numbers of its
own, so the interval is the same on any number of threads.

    python examples/bootstrap.py 20000
"""

import argparse
import sys
from typing import Any

from _picture import Picture
from _report import Report, needed, timed

from taskrt import parallel

PICTURE = Picture()
BLOCK = 250  # samples
SEED = 2004


def resample(x: Any, y: Any, block: int, count: int) -> Any:
    """Return the correlation in `count` samples, from the stream of this block."""
    import numpy as np

    random = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(block,)))
    drawn = random.integers(len(x), size=(count, len(x)))
    a, b = x[drawn], y[drawn]
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    return (a * b).sum(axis=1) / norm


def sizes(samples: int) -> list[int]:
    """Return how many samples each block has."""
    return [min(BLOCK, samples - low) for low in range(0, samples, BLOCK)]


# [bootstrap]
def serial(x: Any, y: Any, samples: int) -> list[float]:
    """Draw one block of samples after the other."""
    blocks = (resample(x, y, *block) for block in enumerate(sizes(samples)))
    return [r for found in blocks for r in found]


def bootstrap(x: Any, y: Any, samples: int) -> list[float]:
    """Draw the blocks on all threads."""

    def leaf(block: int, count: int) -> Any:
        return PICTURE.leaf("resample", resample, x, y, block, count)

    blocks = parallel.starmap(leaf, enumerate(sizes(samples)), grain=1)
    return [r for found in blocks for r in found]


# [/bootstrap]


def measure(argv: list[str] | None = None) -> Report:
    """Find the interval both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("samples", type=int, nargs="?", default=20_000)
    samples = max(1, parser.parse_args(argv).samples)
    datasets = needed("bootstrap", "sklearn.datasets", "scikit-learn")
    np = needed("bootstrap", "numpy", "NumPy")
    patients = datasets.load_diabetes()
    column = patients.feature_names.index("bmi")
    x, y = patients.data[:, column].copy(), patients.target
    base, expected = timed(serial, x, y, samples)
    ours, found = PICTURE.watch(bootstrap, x, y, samples)
    low, high = np.quantile(found, [0.025, 0.975])
    r = np.corrcoef(x, y)[0, 1]
    title = f"bootstrap of {samples:,} samples: r = {r:.3f}, {low:.3f} to {high:.3f}"
    return Report(title, base, {"parallel": ours}, found == expected, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the intervals differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
