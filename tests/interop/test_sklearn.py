"""scikit-learn's estimators on the pool, by way of joblib."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.interleaving import interleave

import taskrt
from taskrt import spawn

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")
import joblib  # noqa: E402
from sklearn.datasets import make_classification  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402

pytestmark = pytest.mark.usefixtures("joblib_backend")

DATA = make_classification(150, 8, random_state=0)


def forest(n_jobs: int | None) -> Any:
    model = RandomForestClassifier(8, random_state=0, n_jobs=n_jobs)
    return model.fit(*DATA).predict_proba(DATA[0]).tolist()


def grid(outer: int, inner: int | None) -> Any:
    model = RandomForestClassifier(4, random_state=0, n_jobs=inner)
    search = GridSearchCV(model, {"max_depth": [2, 4]}, cv=2, n_jobs=outer)
    return search.fit(*DATA).cv_results_["mean_test_score"].tolist()


def test_forest_is_the_same_as_without_threads() -> None:
    with joblib.parallel_config("taskrt"):
        assert forest(2) == forest(1)


def test_grid_search_over_forests_is_the_same_as_without_threads() -> None:
    expected = grid(1, 1)
    threads = threading.active_count()
    with joblib.parallel_config("taskrt"):
        assert grid(2, 2) == expected
        assert grid(-1, None) == expected
        tasks = [spawn(grid, 2, 2) for _ in range(3)]
        assert [task.result() for task in tasks] == [expected] * 3
    assert threading.active_count() <= threads + taskrt.num_threads()


def test_errors_of_fits_are_raised() -> None:
    model = RandomForestClassifier(4, max_depth=-1)
    with joblib.parallel_config("taskrt", n_jobs=2):
        with pytest.raises(ValueError, match="max_depth"):
            cross_val_score(model, *DATA, error_score="raise")


def test_configuration_belongs_to_a_task() -> None:
    with joblib.parallel_config("taskrt", n_jobs=2):
        joblib.Parallel()(joblib.delayed(int)() for _ in range(2))
    found = []

    def assumes() -> bool:
        return bool(sklearn.get_config()["assume_finite"])

    def first(step: Callable[[], None]) -> None:
        with sklearn.config_context(assume_finite=True):
            step()
            found.append(assumes())

    def second(step: Callable[[], None]) -> None:
        found.append(assumes())
        with sklearn.config_context(assume_finite=True):
            step()
            found.append(assumes())
        found.append(assumes())

    interleave(first, second)
    assert found == [False, True, True, False]
    assert not assumes()
    with sklearn.config_context(assume_finite=True):
        assert assumes()
