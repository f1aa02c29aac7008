"""CPython's own tests of locks, from its `test` package, on ours.

What differs on purpose is left out below, each with the reason.
"""

from __future__ import annotations

from typing import Any

import pytest

import taskrt

lock_tests: Any = pytest.importorskip("test.lock_tests")


class LockTests(lock_tests.LockTests):
    locktype = taskrt.Lock
    test_at_fork_reinit = None  # a private method; ours are as they were in the parent


class RLockTests(lock_tests.RLockTests):
    locktype = taskrt.RLock


class ConditionTests(lock_tests.ConditionTests):
    condtype = taskrt.Condition


class ConditionAsRLockTests(lock_tests.RLockTests):
    locktype = taskrt.Condition
    test_recursion_count = None  # a condition has no such method, as in threading


class SemaphoreTests(lock_tests.SemaphoreTests):
    semtype = taskrt.Semaphore


class BoundedSemaphoreTests(lock_tests.BoundedSemaphoreTests):
    semtype = taskrt.BoundedSemaphore


class EventTests(lock_tests.EventTests):
    eventtype = taskrt.Event
    test_at_fork_reinit = None  # looks into the parts of a threading.Event


class BarrierTests(lock_tests.BarrierTests):
    barriertype = taskrt.Barrier
