"""CancelSource and CancelToken: who may cancel, and who may only be cancelled."""

from __future__ import annotations

import gc
import threading

import pytest
from support.gates import until, until_suspended

from taskrt import (
    CancelSource,
    Event,
    TaskGroup,
    checkpoint,
    fetch,
    select,
    sleep,
    spawn,
    wait,
)

pytestmark = pytest.mark.usefixtures("threads")


def test_all_blocks_under_the_token_end() -> None:
    source = CancelSource()
    reasons: list[str] = []

    def block() -> bool:
        with source.token.scope() as scope:
            try:
                sleep(1000)
            except BaseException as error:
                reasons.append(str(error))
                raise
        return scope.cancelled_caught

    tasks = [spawn(block) for _ in range(20)]
    until_suspended(*tasks)
    assert not source.token.cancelled
    source.cancel("enough")
    assert all(fetch(task) for task in tasks)
    assert len(reasons) == 20
    assert all("enough" in reason for reason in reasons)
    assert source.token.cancelled
    assert source.token.reason == "enough"


def test_what_is_outside_goes_on() -> None:
    source = CancelSource()
    go = Event()

    def outside() -> str:
        with source.token.scope():
            sleep(1000)
        go.wait()
        return "went on"

    task, other = spawn(outside), spawn(go.wait)
    until_suspended(task, other)
    source.cancel()
    go.set()
    assert fetch(task) == "went on"
    assert fetch(other) is True


def test_a_block_that_comes_later_ends_at_once() -> None:
    source = CancelSource()
    source.cancel("first")
    source.cancel("second")
    with source.token.scope() as scope:
        checkpoint()
        raise AssertionError("never here")
    assert scope.cancelled_caught
    assert source.token.reason == "first"


def test_a_group_under_the_token_ends_with_its_tasks() -> None:
    source = CancelSource()
    tasks = []
    with source.token.scope(), TaskGroup() as group:
        tasks = [group.spawn(sleep, 1000) for _ in range(5)]
        source.cancel()
    assert all(task.cancelled() for task in tasks)


def test_scopes_and_cancel_race() -> None:
    for _ in range(200):
        source = CancelSource()

        def block(source: CancelSource = source) -> bool:
            with source.token.scope() as scope:
                sleep(1000)
            return scope.cancelled_caught

        thread = threading.Thread(target=source.cancel)
        tasks = [spawn(block) for _ in range(3)]
        thread.start()
        assert all(fetch(task) for task in tasks)
        thread.join()


def test_wait_for_the_token() -> None:
    source = CancelSource()
    assert source.token.wait(timeout=0) is False
    task = spawn(source.token.wait)
    choice = spawn(select, Event().wait_op(), source.token.wait_op())
    until_suspended(task, choice)
    source.cancel()
    assert fetch(task) is True
    assert fetch(choice) == (1, True)
    assert source.token.wait() is True


def test_who_waits_under_the_token_for_the_token_is_cancelled() -> None:
    source = CancelSource()

    def block() -> bool:
        with source.token.scope() as scope:
            source.token.wait()
        return scope.cancelled_caught

    task = spawn(block)
    until_suspended(task)
    source.cancel()
    wait(task)
    assert task.state == "done"  # either came first


def test_blocks_that_were_left_are_forgotten() -> None:
    source = CancelSource()

    def enter() -> None:
        for _ in range(100):
            with source.token.scope():
                pass

    enter()
    until(lambda: gc.collect() >= 0 and not source.token._scopes)


def test_repr_says_how_it_is() -> None:
    source = CancelSource()
    assert (
        repr(source) == "<taskrt.CancelSource of <taskrt.CancelToken: not cancelled>>"
    )
    source.cancel()
    assert repr(source.token) == "<taskrt.CancelToken: cancelled>"
