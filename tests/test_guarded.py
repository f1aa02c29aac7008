"""Guarded: a value and its lock."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from support.gates import join, until_suspended
from support.interrupts import at_each_call
from support.places import Place

from taskrt import Guarded, TaskGroup, _guarded, fetch, spawn, wait
from taskrt.statistics import LockStatistics


def test_the_block_is_given_the_value(run: Place) -> None:
    words: list[str] = []
    guarded = Guarded(words)

    def body() -> None:
        with guarded as value:
            assert value is words
            assert guarded.locked()
        assert not guarded.locked()

    run(body)


def test_nothing_is_lost(threads: int) -> None:
    counter = Guarded(0)

    def count() -> None:
        for _ in range(200):
            with counter as value:
                counter.value = value + 1

    others = [threading.Thread(target=count) for _ in range(2)]
    for other in others:
        other.start()
    with TaskGroup() as group:
        for _ in range(4):
            group.spawn(count)
    join(*others)
    with counter as value:
        assert value == 1200


def test_value_needs_the_lock() -> None:
    guarded = Guarded(1)
    with pytest.raises(RuntimeError, match=r"cannot read .*`with guarded as"):
        _ = guarded.value
    with pytest.raises(RuntimeError, match=r"cannot set .*`with guarded as"):
        guarded.value = 2
    with guarded:
        other = spawn(lambda: guarded.value)
        wait(other)
        with pytest.raises(RuntimeError, match="cannot read"):
            fetch(other)
        guarded.value = 3
        assert guarded.value == 3
    with guarded as value:
        assert value == 3


def test_who_has_it_may_enter_again() -> None:
    guarded = Guarded("x")
    with guarded, guarded as value:
        assert value == "x"
    assert not guarded.locked()


def test_others_wait_for_the_block() -> None:
    guarded = Guarded([1])

    def look() -> int:
        with guarded as value:
            return value[0]

    with guarded as value:
        task = spawn(look)
        until_suspended(task)
        assert guarded.statistics().tasks_waiting == 1
        value[0] = 2
    assert fetch(task) == 2
    assert guarded.statistics() == LockStatistics(False, None, 0)


def test_an_error_leaves_the_block() -> None:
    guarded = Guarded(1)
    with pytest.raises(ZeroDivisionError), guarded:
        guarded.value = 1 // 0
    assert not guarded.locked()
    with pytest.raises(RuntimeError, match="release"):
        guarded.__exit__(None, None, None)


def test_interrupted_it_has_the_lock_or_not() -> None:
    """Wherever a signal handler raises; after the block nobody has it."""
    guarded = Guarded(1)
    steps = 0
    for interrupted in at_each_call(_guarded):
        with interrupted, guarded:
            guarded.value = 2
        assert not guarded.locked()
        steps += 1
    assert steps > 3


def test_a_cycle_through_the_value_dies() -> None:
    guarded: Guarded[object] = Guarded(None)
    with guarded:
        guarded.value = [guarded]
    alive = weakref.ref(guarded)
    del guarded
    gc.collect()
    assert alive() is None


def test_repr_names_who_has_it() -> None:
    guarded = Guarded([1])
    assert repr(guarded).startswith("<Guarded(list, <unlocked ")
    with guarded:
        assert "owner=" in repr(guarded)


def test_subclass_that_forgets_to_begin() -> None:
    class Forgets(Guarded[int]):
        def __init__(self) -> None: ...

    with pytest.raises(RuntimeError, match=r"Forgets.__init__\(\) was not called"):
        Forgets().__enter__()
