"""Tasks that suspend while Python holds an object's lock on their behalf.

A free-threaded interpreter locks a list, dict or set for the length of an operation
that may call back into Python. A task that suspends in such a callback must let go of
those locks, or whoever touches the object next waits for a task that cannot run. With
the GIL the same programs must give the same results.
"""

from __future__ import annotations

import functools
import gc
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator

import pytest
from support.gates import Gate, pinned, until, until_suspended

from taskrt import Task, fetch, spawn, wait


class Slow:
    """A key whose comparison suspends until the gate is open."""

    def __init__(self, gate: Gate, value: int = 0) -> None:
        self.gate = gate
        self.value = value

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        fetch(self.gate.task)
        return isinstance(other, Slow) and self.value == other.value

    def __lt__(self, other: Slow) -> bool:
        fetch(self.gate.task)
        return self.value < other.value

    def __index__(self) -> int:
        fetch(self.gate.task)
        return self.value

    def __iter__(self) -> Iterator[int]:
        fetch(self.gate.task)
        yield self.value

    def __repr__(self) -> str:
        fetch(self.gate.task)
        return "Slow"


class Case:
    """One object, an operation on it that suspends, and one that must get through."""

    suspends: Callable[[], object]
    meanwhile: Callable[[], object]
    result: object = None
    error: type[Exception] | tuple[type[Exception], ...] = ()

    def __init__(self, gate: Gate) -> None:
        self.gate = gate


def after(act: Callable[..., object], *args: object) -> bool:
    """Do something first; what follows `or` is the result."""
    act(*args)
    return False


class SortByKey(Case):
    error = ValueError  # list modified during sort

    def __init__(self, gate: Gate) -> None:
        items = [3, 1, 2]

        def key(item: int) -> int:
            fetch(gate.task)
            return item

        self.suspends = lambda: items.sort(key=key)
        self.meanwhile = lambda: items.append(4)


class SortByComparison(Case):
    error = ValueError

    def __init__(self, gate: Gate) -> None:
        items: list[object] = [Slow(gate, i) for i in (3, 1, 2)]
        self.suspends = lambda: items.sort()
        self.meanwhile = lambda: items.append(4)


class ListOperations(Case):
    def __init__(self, gate: Gate) -> None:
        items: list[object] = [Slow(gate, 1), 5]
        self.suspends = lambda: items.index(5)
        self.meanwhile = lambda: items.append(6)
        self.result = 1


class ListExtend(Case):
    def __init__(self, gate: Gate) -> None:
        items = [1]
        self.suspends = lambda: after(items.extend, Slow(gate, 2)) or sorted(items)
        self.meanwhile = lambda: items.append(3)
        self.result = [1, 2, 3]


class DictLookup(Case):
    def __init__(self, gate: Gate) -> None:
        table: dict[Hashable, str] = {Slow(gate, 1): "one"}
        self.suspends = lambda: table[Slow(gate, 1)]
        self.meanwhile = lambda: table.update(two="two")
        self.result = "one"


class DictSetDefault(Case):
    def __init__(self, gate: Gate) -> None:
        table: dict[Hashable, str] = {Slow(gate, 1): "one"}
        self.suspends = lambda: table.setdefault(Slow(gate, 2), "new")
        self.meanwhile = lambda: table.update(two="two")
        self.result = "new"


class DictPop(Case):
    def __init__(self, gate: Gate) -> None:
        table: dict[Hashable, str] = {Slow(gate, 1): "one"}
        self.suspends = lambda: table.pop(Slow(gate, 1))
        self.meanwhile = lambda: table.update(two="two")
        self.result = "one"


class DictMerge(Case):
    """Two objects are locked at once."""

    def __init__(self, gate: Gate) -> None:
        left: dict[Hashable, str] = {Slow(gate, 1): "left"}
        right: dict[Hashable, str] = {Slow(gate, 1): "right", "b": "b"}

        def merge() -> int:
            left.update(right)
            return left[3] == "3" and right[4] == "4"

        def touch_both() -> None:
            left[3] = "3"
            right[4] = "4"

        self.suspends = merge
        self.meanwhile = touch_both
        self.result = True
        self.error = RuntimeError  # dict mutated during update


class SetUpdate(Case):
    """Two objects are locked at once."""

    def __init__(self, gate: Gate) -> None:
        left: set[object] = {Slow(gate, 1)}
        right: set[object] = {Slow(gate, 2)}

        def touch_both() -> None:
            left.add(3)
            right.add(4)

        self.suspends = lambda: after(left.update, right) or {3} <= left
        self.meanwhile = touch_both
        self.result = True


class SetIntersection(Case):
    """Two objects are locked at once, and a result that nobody sees yet."""

    error = RuntimeError  # set changed size during iteration

    def __init__(self, gate: Gate) -> None:
        left: set[object] = {Slow(gate, 1), 7}
        right: set[object] = {Slow(gate, 1), 7, 9}

        def touch_both() -> None:
            left.add(3)
            right.add(4)

        self.suspends = lambda: 7 in left.intersection(right)
        self.meanwhile = touch_both
        self.result = True


class DequeSearch(Case):
    error = RuntimeError  # deque mutated during iteration

    def __init__(self, gate: Gate) -> None:
        items: deque[object] = deque([Slow(gate, 1), 5])
        self.suspends = lambda: items.count(5)
        self.meanwhile = lambda: items.append(6)


class OrderedMove(Case):
    def __init__(self, gate: Gate) -> None:
        table: OrderedDict[Hashable, int] = OrderedDict({Slow(gate, 1): 1, "b": 2})
        self.suspends = lambda: after(table.move_to_end, Slow(gate, 1)) or len(table)
        self.meanwhile = lambda: table.setdefault("c", 3)
        self.result = 3
        self.error = (RuntimeError, KeyError)  # mutated during the move


class CachedCall(Case):
    def __init__(self, gate: Gate) -> None:
        @functools.lru_cache(maxsize=2)
        def square(n: int) -> int:
            if n == 3:
                fetch(gate.task)
            return n * n

        self.suspends = lambda: square(3)
        self.meanwhile = lambda: (square(4), square(5), square.cache_info())
        self.result = 9


class CachedCallWithSlowKey(Case):
    def __init__(self, gate: Gate) -> None:
        @functools.lru_cache(maxsize=4)
        def value(key: Hashable) -> int:
            return getattr(key, "value", -1)

        value(Slow(gate, 1))
        self.suspends = lambda: value(Slow(gate, 1))
        self.meanwhile = lambda: (value("other"), value.cache_info())
        self.result = 1


class BytearrayExtend(Case):
    error = BufferError

    def __init__(self, gate: Gate) -> None:
        data = bytearray(b"a")
        self.suspends = lambda: after(data.extend, Slow(gate, 98)) or sorted(data)
        self.meanwhile = lambda: data.append(99)
        self.result = [97, 98, 99]


class Nested(Case):
    """Locks of several objects, held one within the other."""

    def __init__(self, gate: Gate) -> None:
        inner: dict[Hashable, int] = {Slow(gate, 1): 1}
        outer = [2, 1]

        def key(item: int) -> int:
            return inner.setdefault(Slow(gate, item), item)

        def touch_all() -> None:
            inner["new"] = 5
            outer.index(2) if outer else None

        self.suspends = lambda: after(lambda: outer.sort(key=key)) or outer
        self.meanwhile = touch_all
        self.result = [1, 2]


CASES: list[type[Case]] = [
    SortByKey, SortByComparison, ListOperations, ListExtend, DictLookup, DictSetDefault,
    DictPop, DictMerge, SetUpdate, SetIntersection, DequeSearch, OrderedMove,
    CachedCall, CachedCallWithSlowKey, BytearrayExtend, Nested,
]  # fmt: skip

every_case = pytest.mark.parametrize("case", CASES)


def check(case: Case, task: Task[object]) -> None:
    """The operation ended: with its result or with the error that Python documents."""
    try:
        result = fetch(task)
    except Exception as error:
        assert isinstance(error, case.error)
    else:
        if case.result is not None:
            assert result == case.result


@every_case
def test_another_task_of_the_same_thread_gets_through(case: type[Case]) -> None:
    with Gate() as gate:
        tried = case(gate)
        task = pinned(tried.suspends)
        until_suspended(task)
        fetch(pinned(tried.meanwhile))
        gc.collect()
        gate.open()
        check(tried, task)


@every_case
def test_the_waiting_main_thread_gets_through(case: type[Case]) -> None:
    with Gate() as gate:
        tried = case(gate)
        task = pinned(tried.suspends)
        until_suspended(task)
        tried.meanwhile()
        gate.open()
        check(tried, task)


@every_case
def test_another_thread_gets_through(case: type[Case]) -> None:
    with Gate() as gate:
        tried = case(gate)
        task = spawn(tried.suspends)
        until_suspended(task)
        thread = threading.Thread(target=tried.meanwhile)
        thread.start()
        thread.join()
        gate.open()
        check(tried, task)


@every_case
def test_many_tasks_may_suspend_in_the_same_operation(case: type[Case]) -> None:
    with Gate() as gate:
        tried = case(gate)
        tasks = [spawn(tried.suspends) for _ in range(8)]
        until(lambda: any(task.state == "suspended" for task in tasks))
        fetch(spawn(tried.meanwhile))
        gate.open()
        for task in tasks:
            wait(task)
            task.defuse()


def test_cancelled_in_the_middle_of_an_operation() -> None:
    with Gate() as gate:
        for case in CASES:
            tried = case(gate)
            task = spawn(tried.suspends)
            until_suspended(task)
            task.cancel()
            wait(task)
            assert task.cancelled()
            tried.meanwhile()


def hammer(shared: list[int], table: dict[Hashable, int], gate: Gate, n: int) -> int:
    """Suspend again and again with the locks of shared objects held."""

    def key(item: int) -> int:
        if item % 7 == n % 7:
            fetch(gate.task)
        return -item

    try:
        shared.sort(key=key)
    except ValueError:
        pass
    shared.append(n)
    table.setdefault(Slow(gate, n % 5), n)
    return n


def test_storm_of_suspensions_with_locks_held() -> None:
    shared = list(range(10))
    table: dict[Hashable, int] = {}
    done = threading.Event()

    def collect() -> None:
        while not done.wait(0.001):
            gc.collect()

    collector = threading.Thread(target=collect)
    collector.start()
    with Gate() as gate:
        tasks = [spawn(hammer, shared, table, gate, n) for n in range(400)]
        until(lambda: all(task.state != "pending" for task in tasks))
        gate.open()
        assert [fetch(t) for t in tasks] == list(range(400))
    done.set()
    collector.join()
    assert len(table) <= 400
