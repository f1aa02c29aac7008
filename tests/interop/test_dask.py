"""taskrt.interop.dask: graphs of Dask on the one pool."""

from __future__ import annotations

import contextvars
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from support.gates import join
from support.gauge import Gauge
from support.places import Place, in_task, in_thread, on_main

import taskrt
from taskrt import Event, TaskGroup, move_on_after
from taskrt.interop.dask import get

dask = pytest.importorskip("dask", reason="Dask is not installed")
from dask.callbacks import Callback  # noqa: E402
from dask.diagnostics import ProgressBar  # noqa: E402

every_place = pytest.mark.parametrize("place", [on_main, in_task, in_thread])


def inc(n: int) -> int:
    return n + 1


def add(a: int, b: int) -> int:
    return a + b


def diamonds(depth: int) -> dict[str, Any]:
    """Return a graph whose key "0" is 2 ** depth."""
    graph: dict[str, Any] = {str(depth): 1}
    for level in range(depth):
        graph[f"left {level}"] = (int, str(level + 1))
        graph[f"right {level}"] = (int, str(level + 1))
        graph[str(level)] = (add, f"left {level}", f"right {level}")
    return graph


@every_place
@pytest.mark.parametrize("num_workers", [None, 1, 3, 50])
def test_computes_keys_of_a_graph(place: Place, num_workers: int | None) -> None:
    def body() -> None:
        graph = diamonds(10)
        assert get(graph, "0", num_workers=num_workers) == 1024
        assert get(graph, ["0", ["1", "10"]]) == (1024, (512, 1))
        assert get({"x": 1}, "x") == 1

    place(body)


@every_place
def test_computes_collections(place: Place) -> None:
    bag = pytest.importorskip("dask.bag", reason="dask.bag cannot be imported")

    def body() -> None:
        numbers = bag.from_sequence(range(100), npartitions=10).map(inc)
        assert numbers.compute(scheduler=get) == list(range(1, 101))
        with dask.config.set(scheduler=get):
            assert numbers.sum().compute() == 5050

    place(body)


@every_place
def test_tasks_may_compute(place: Place) -> None:
    def tree(depth: int) -> int:
        if depth == 0:
            return 1
        parts = [dask.delayed(tree)(depth - 1) for _ in range(3)]
        return sum(dask.compute(*parts, scheduler=get))

    def body() -> None:
        threads = threading.active_count()
        assert tree(4) == 81
        assert threading.active_count() <= threads + taskrt.num_threads()

    place(body)


def test_a_thread_beside_a_pool_without_threads_computes_by_itself() -> None:
    before = taskrt.num_threads()
    taskrt.set_num_threads(1)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(get(diamonds(5), "0")))
    try:
        thread.start()
        thread.join(60)  # main does nothing for it
        assert found == [32]
    finally:
        taskrt.set_num_threads(before)
        join(thread)


def test_no_more_tasks_run_than_workers() -> None:
    before = taskrt.num_threads()
    taskrt.set_num_threads(max(before, 4))
    gauge = Gauge()
    graph = dict.fromkeys(range(40), (gauge.work,))
    try:
        get(graph, list(graph), num_workers=2)
        assert gauge.most <= 2
        with dask.config.set(num_workers=1):
            gauge.most = 0
            get(graph, list(graph))
        assert gauge.most == 1
    finally:
        taskrt.set_num_threads(before)


def test_chunks_of_tasks_are_run_at_once() -> None:
    graph = {f"{n}": (inc, n) for n in range(100)}
    assert get(graph, list(graph), chunksize=7) == tuple(range(1, 101))


@every_place
def test_error_of_a_task_is_raised_and_ends_the_rest(place: Place) -> None:
    gauge = Gauge()

    def fail(n: int) -> None:
        gauge.work()
        if n == 3:
            raise KeyError(n)

    def body() -> None:
        graph = {f"{n}": (fail, n) for n in range(1000)}
        with pytest.raises(KeyError) as caught:
            get(graph, list(graph))
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert frames[-1].name == "fail"
        assert gauge.now == 0  # nothing of it runs any more
        assert gauge.calls < 1000

    place(body)


def test_error_may_be_looked_for_on_the_spot() -> None:
    places = []

    def fail() -> None:
        places.append(taskrt.current_task())
        raise KeyError("fail")

    with pytest.raises(KeyError, match="fail"):
        get({"x": (fail,)}, "x", rerun_exceptions_locally=True)
    assert places[0] is not None
    assert places[1] is None


@every_place
def test_cancelled_caller_cancels_its_tasks(place: Place) -> None:
    def body() -> None:
        gauge = Gauge()

        def work() -> None:
            gauge.stay(Event().wait)

        with move_on_after(0.01) as scope:
            get(dict.fromkeys(range(10), (work,)), list(range(10)))
        assert scope.cancelled_caught
        assert gauge.now == 0

    place(body)


def test_graphs_are_computed_at_the_same_time() -> None:
    with TaskGroup() as group:
        for depth in range(20):
            group.spawn(get, diamonds(depth), "0")
    assert group.results == [2**depth for depth in range(20)]


variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def test_tasks_see_the_context_of_the_caller() -> None:
    token = variable.set(7)
    try:
        assert get(dict.fromkeys(range(9), (variable.get,)), list(range(9))) == (7,) * 9
    finally:
        variable.reset(token)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Give the list of what Dask tells its callbacks."""
    seen: list[str] = []
    with Callback(
        start=lambda *_: seen.append("start"),
        pretask=lambda key, *_: seen.append(f"before {key}"),
        posttask=lambda key, *_: seen.append(f"after {key}"),
        finish=lambda _, __, failed: seen.append(f"finish {failed}"),
    ):
        yield seen


def test_callbacks_are_told(told: list[str]) -> None:
    get({"x": 1, "y": (inc, "x"), "z": (inc, "y")}, "z")
    between = ["before y", "after y", "before z", "after z"]
    assert told == ["start", *between, "finish False"]


def test_callbacks_are_told_of_a_failure(told: list[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        get({"x": (divmod, 1, 0)}, "x")
    assert told == ["start", "before x", "finish True"]


def test_progress_bar_reaches_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(dt=0.001):
        get(diamonds(5), "0")
    assert "100% Completed" in capsys.readouterr().out


def test_results_are_kept_where_the_caller_says() -> None:
    cache: dict[str, Any] = {}
    assert get({"x": 1, "y": (inc, "x")}, "y", cache=cache) == 2
    assert cache["y"] == 2


def test_another_pool_is_refused() -> None:
    with pytest.raises(TypeError, match="takes no other"):
        get({"x": 1}, "x", pool=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_workers must be 1 or more, not -1"):
        get({"x": 1}, "x", num_workers=-1)
