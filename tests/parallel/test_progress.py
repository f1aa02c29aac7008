"""progress=: shows how far a loop has got, and stays out of its way."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from support.ends import fail

import taskrt
from taskrt import parallel
from taskrt.parallel import Reducer, _progress

pytestmark = pytest.mark.usefixtures("threads")


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "_PERIOD_S", 0)


def loops(**options: object) -> list[Callable[[], object]]:
    return [
        lambda: parallel.map(abs, range(300), grain=7, **options),
        lambda: parallel.for_each(abs, range(300), schedule="greedy", **options),
        lambda: parallel.starmap(pow, [(1, 2)] * 300, schedule="serial", **options),
        lambda: parallel.for_range(int, 300, schedule="static", **options),
        lambda: parallel.for_blocks(range, 0, 300, **options),
        lambda: parallel.for_range(
            list.append,
            300,
            init=Reducer(list, list.__add__),
            **options,
        ),
    ]


@pytest.mark.usefixtures("_at_once")
def test_a_callable_is_told_how_many_of_how_many() -> None:
    calls: list[tuple[int, int]] = []
    for loop in loops(progress=lambda done, total: calls.append((done, total))):
        calls.clear()
        loop()
        assert {total for _, total in calls} == {300}
        assert calls[-1] == (300, 300)
        assert all(0 < done <= 300 for done, _ in calls)


@pytest.mark.usefixtures("_at_once")
def test_one_task_at_a_time_shows() -> None:
    inside = taskrt.AtomicInt()

    def show(done: int, total: int) -> None:
        assert inside.fetch_add() == 0
        taskrt.sleep(0)
        inside.fetch_sub()

    parallel.for_each(abs, range(500), grain=1, progress=show)


def test_a_short_loop_shows_its_end_alone() -> None:
    calls: list[int] = []
    parallel.for_each(abs, range(10), progress=lambda done, total: calls.append(done))
    assert calls[-1] == 10


def test_a_loop_that_fails_does_not_show_its_end() -> None:
    calls: list[int] = []
    with pytest.raises(OSError):
        parallel.for_each(
            fail, [OSError()], progress=lambda done, total: calls.append(done)
        )
    assert calls == []


@pytest.mark.usefixtures("_at_once")
def test_an_error_of_the_callable_is_one_of_the_loop() -> None:
    def show(done: int, total: int) -> None:
        raise OSError(done)

    with pytest.raises(OSError):
        parallel.for_each(abs, range(100), grain=1, progress=show)


@pytest.mark.usefixtures("_at_once")
def test_true_and_labels_show_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    for loop in loops(progress="adding"):
        loop()
        shown = capsys.readouterr().err
        assert "adding: 100%" in shown
        assert "300/300" in shown
    parallel.for_each(abs, range(20), progress=True)
    assert "20/20" in capsys.readouterr().err


def test_a_bar_is_closed_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    with pytest.raises(OSError):
        parallel.for_each(fail, [OSError()], progress=True)
    assert capsys.readouterr().err.endswith("\n")


def test_a_bar_without_tqdm_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    calls: list[int] = []
    with pytest.raises(ImportError, match="pip install taskrt.progress"):
        parallel.for_each(calls.append, [1, 2], progress=True)
    assert calls == []
