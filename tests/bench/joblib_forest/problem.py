"""scikit-learn on joblib: a random forest, a grid search, and one in the other."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from _measure import Row, cost_row, is_installed, side_by_side

KINDS = ("forest", "grid search", "grid search over forests")
BASES = {"with_loky": "processes", "with_threading": "threads"}


@cache
def data(samples: int) -> Any:
    """Return samples and their classes."""
    from sklearn.datasets import make_classification

    return make_classification(samples, 20, random_state=0)


def make(size: list[Any]) -> tuple[str, int, Any]:
    """Return what to fit, with how many trees, and to what."""
    kind, trees, samples = size
    return kind, trees, data(samples)


def fit(size: tuple[str, int, Any], n_jobs: int) -> list[float]:
    """Fit by whatever backend is in force; return what the fit found."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    kind, trees, (x, y) = size
    inner = 1 if kind == "grid search" else n_jobs
    forest = RandomForestClassifier(trees, random_state=0, n_jobs=inner)
    if kind == "forest":
        return list(forest.fit(x, y).feature_importances_)
    search = GridSearchCV(forest, {"max_depth": [3, 6, 9]}, cv=3, n_jobs=n_jobs)
    return list(search.fit(x, y).cv_results_["mean_test_score"])


@cache
def expected(kind: str, trees: int, samples: int) -> list[float]:
    """Return what a fit on one thread finds."""
    return fit((kind, trees, data(samples)), 1)


def is_right(answer: object, size: list[Any]) -> bool:
    """Return whether the fit is the same as on one thread."""
    return answer == expected(*size)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare with each of joblib's backends."""
    samples, repeats = (300, 3) if quick else (2000, 7)
    for kind in KINDS:
        trees = 10 if "grid" in kind else 100
        for base, name in BASES.items():
            what = f"{kind}, taskrt / {name}"
            if is_installed("sklearn"):
                sides = side_by_side(
                    "joblib_forest",
                    "with_taskrt",
                    base=base,
                    size=[kind, trees, samples],
                    repeats=repeats,
                    workers=2,
                )
                yield cost_row(what, sides, 1.05)
            else:
                yield Row(what, note="skipped: scikit-learn is not installed")
