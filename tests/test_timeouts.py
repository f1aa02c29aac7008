"""move_on_after and fail_after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import join, until_suspended

import taskrt
from taskrt import (
    CancelScope,
    TaskGroup,
    checkpoint,
    fail_after,
    fetch,
    move_on_after,
    sleep,
    spawn,
)

pytestmark = pytest.mark.usefixtures("threads")

SOON = 0.002
NEVER = 1e6


def test_move_on_after_moves_on() -> None:
    with move_on_after(SOON) as scope:
        sleep(NEVER)
        pytest.fail("not reached")
    assert isinstance(scope, CancelScope)
    assert scope.cancelled_caught
    checkpoint()


def test_in_time_nothing_happens() -> None:
    with move_on_after(NEVER) as scope:
        assert fetch(spawn(int)) == 0
    assert not scope.cancelled_caught
    with fail_after(NEVER) as scope:
        sleep(SOON)
    assert not scope.cancelled_caught


def test_zero_seconds_end_at_the_first_checkpoint() -> None:
    trail = []
    with move_on_after(0):
        trail.append("runs")
        checkpoint()
        trail.append("not reached")
    assert trail == ["runs"]
    with pytest.raises(TimeoutError):
        with fail_after(0):
            checkpoint()


@pytest.mark.parametrize("limit", [move_on_after, fail_after])
def test_none_is_no_limit(limit: Callable[[None], Any]) -> None:
    with limit(None) as scope:
        assert scope.deadline is None
        sleep(SOON)
    assert not scope.cancelled_caught


def test_a_deadline_may_be_set_where_there_was_none() -> None:
    with pytest.raises(TimeoutError, match="not done at its deadline"):
        with fail_after(None) as scope:
            scope.deadline = time.monotonic() + SOON
            sleep(NEVER)


def test_a_block_that_never_looks_is_in_time() -> None:
    with fail_after(0) as scope:
        pass
    assert scope.cancel_called
    assert not scope.cancelled_caught


def test_fail_after_raises_timeout_error() -> None:
    with pytest.raises(TimeoutError, match="not done after 0.002 seconds"):
        with fail_after(SOON):
            sleep(NEVER)


def test_fail_after_in_a_task_and_its_group() -> None:
    def body() -> None:
        with fail_after(SOON):
            with TaskGroup() as group:
                for _ in range(5):
                    group.spawn(sleep, NEVER)

    with pytest.raises(TimeoutError):
        fetch(spawn(body))


def test_only_its_own_limit_is_a_timeout() -> None:
    with move_on_after(SOON) as outer:
        with fail_after(NEVER) as inner:
            sleep(NEVER)
        pytest.fail("not reached")
    assert outer.cancelled_caught
    assert not inner.cancel_called


def test_of_two_that_have_passed_the_outer_one_counts() -> None:
    with move_on_after(0) as outer:
        with fail_after(0):
            checkpoint()
        pytest.fail("not reached")
    assert outer.cancelled_caught


def test_a_timeout_error_of_the_block_passes() -> None:
    error = TimeoutError("mine")
    with pytest.raises(TimeoutError, match="mine") as caught:
        with fail_after(0):
            raise error
    assert caught.value is error
    with taskrt.CancelScope():
        with pytest.raises(TimeoutError):
            with fail_after(NEVER):
                with fail_after(0):
                    checkpoint()


def test_errors_that_come_with_the_end_of_time_pass() -> None:
    def clean_up() -> None:
        try:
            sleep(NEVER)
        finally:
            raise KeyError

    with pytest.raises(ExceptionGroup) as caught:
        with fail_after(NEVER) as scope:
            with TaskGroup() as group:
                until_suspended(group.spawn(clean_up))
                scope.deadline = time.monotonic() + SOON
                sleep(NEVER)
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert scope.cancelled_caught


def test_cancelled_by_hand_counts_as_its_own() -> None:
    with pytest.raises(TimeoutError):
        with fail_after(NEVER) as scope:
            scope.cancel()
            checkpoint()


@pytest.mark.parametrize("limit", [move_on_after, fail_after])
def test_the_deadline_may_be_set(limit: Callable[[float], CancelScope]) -> None:
    with limit(SOON) as scope:
        assert scope.deadline is not None
        assert scope.deadline <= time.monotonic() + SOON
        scope.deadline = time.monotonic() + NEVER
        sleep(2 * SOON)
    assert not scope.cancelled_caught
    with pytest.raises((TimeoutError, StopIteration)):
        with limit(NEVER) as scope:
            scope.deadline = time.monotonic()
            checkpoint()
        assert scope.cancelled_caught
        raise StopIteration


@pytest.mark.parametrize("limit", [move_on_after, fail_after])
def test_wrong_limits(limit: Callable[[float], CancelScope]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        limit(-1)
    with pytest.raises(ValueError, match="seconds"):
        limit(float("nan"))
    with pytest.raises(TypeError):
        limit("5")  # type: ignore[arg-type]
    with limit(float("inf")) as scope:
        assert scope.deadline is None


def test_from_a_plain_thread() -> None:
    answers: list[object] = []

    def body() -> None:
        try:
            with fail_after(SOON):
                sleep(NEVER)
        except TimeoutError:
            answers.append("timeout")

    thread = threading.Thread(target=body)
    thread.start()
    join(thread)
    assert answers == ["timeout"]
