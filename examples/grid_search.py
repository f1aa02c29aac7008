"""scikit-learn on taskrt's pool: a grid search over random forests.

The data are of 569 tumours (Street, Wolberg, Mangasarian, 1993; scikit-learn brings
them along): which forest tells benign ones from malignant ones best? Each candidate is
fitted to parts of the data, and each fit grows its trees in parallel too. Both levels
are joblib's: one call of register() and a `with` line put them on one pool, however
deep they nest.

    python examples/grid_search.py 200
"""

import argparse
import sys
from typing import Any

from _picture import Picture
from _report import Report, needed, timed

from taskrt.interop.joblib import register

PICTURE = Picture()
GRID = {"max_depth": [2, 4, 8], "max_features": [2, 8]}


def load() -> tuple[Any, Any]:
    """Return a kind of forest whose fits are drawn, and the data."""
    ensemble = needed("grid_search", "sklearn.ensemble", "scikit-learn")
    datasets = needed("grid_search", "sklearn.datasets", "scikit-learn")

    plain = ensemble.RandomForestClassifier

    def fit(self: Any, x: Any, y: Any) -> Any:
        return PICTURE.leaf("fit", plain.fit, self, x, y)

    return type("Forest", (plain,), {"fit": fit}), datasets.load_breast_cancer(
        return_X_y=True
    )


# [grid_search]
def serial(forest: Any, data: Any, trees: int) -> list[float]:
    """Return the accuracy of each candidate, all of it on one thread."""
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(forest(trees, random_state=1, n_jobs=1), GRID, n_jobs=1)
    return list(search.fit(*data).cv_results_["mean_test_score"])


def grid_search(forest: Any, data: Any, trees: int) -> list[float]:
    """Do the same on all threads, on both levels."""
    import joblib
    from sklearn.model_selection import GridSearchCV

    register()
    search = GridSearchCV(forest(trees, random_state=1, n_jobs=-1), GRID, n_jobs=-1)
    with joblib.parallel_config("taskrt"):
        return list(search.fit(*data).cv_results_["mean_test_score"])


# [/grid_search]


def measure(argv: list[str] | None = None) -> Report:
    """Search both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", type=int, nargs="?", default=100)
    trees = max(1, parser.parse_args(argv).trees)
    forest, data = load()
    base, expected = timed(serial, forest, data, trees)
    ours, found = PICTURE.watch(grid_search, forest, data, trees)
    title = f"grid search over forests of {trees} trees: {max(found):.1%} right"
    return Report(title, base, {"joblib": ours}, found == expected, PICTURE)


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the accuracies differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
