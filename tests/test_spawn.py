"""`spawn` and `Spawner`: what may be spawned, with which arguments and options."""

from __future__ import annotations

import functools
import gc
import operator
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support.gates import pinned, until

import taskrt
from taskrt import Spawner, Task, fetch, spawn, wait


def everything(
    *args: object, **kwargs: object
) -> tuple[tuple[object, ...], dict[str, object]]:
    return args, kwargs


class Adder:
    def __init__(self, base: int) -> None:
        self.base = base

    def __call__(self, n: int) -> object:
        return self.base + n

    def method(self, n: int) -> object:
        return self.base + n

    @classmethod
    def from_class(cls, n: int) -> object:
        return cls, n

    @staticmethod
    def from_nowhere(n: int) -> object:
        return n


# --- spawn ----------------------------------------------------------------------------


def test_fetch_returns_what_the_function_returned() -> None:
    value = object()
    assert fetch(spawn(lambda: value)) is value


@pytest.mark.parametrize("named", [0, 1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 17, 300])
def test_arguments_arrive_as_given(count: int, named: int) -> None:
    args = tuple(object() for _ in range(count))
    kwargs = {f"key{i}": object() for i in range(named)}
    got_args, got_kwargs = fetch(spawn(everything, *args, **kwargs))
    assert got_args == args
    assert got_kwargs == kwargs
    assert list(got_kwargs) == list(kwargs)


@pytest.mark.parametrize(
    "name",
    [
        *("fn", "func", "function", "name", "pool", "pinned", "context", "detached"),
        *("timeout", "self", "task", "args", "kwargs", "msg"),
    ],
)
def test_options_never_take_a_keyword_of_the_function(name: str) -> None:
    assert fetch(spawn(everything, **{name: 1})) == ((), {name: 1})
    assert fetch(Spawner(name="n")(everything, **{name: 1})) == ((), {name: 1})


@pytest.mark.parametrize(
    ("fn", "args", "expected"),
    [
        (len, ("abc",), 3),
        (int, ("7",), 7),
        (dict, (), {}),
        (operator.add, (1, 2), 3),
        (str.upper, ("a",), "A"),
        ("abc".upper, (), "ABC"),
        (functools.partial(divmod, 7), (2,), (3, 1)),
        (Adder(1), (2,), 3),
        (Adder(1).method, (2,), 3),
        (Adder.from_class, (2,), (Adder, 2)),
        (Adder.from_nowhere, (2,), 2),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_any_callable_is_spawned(
    fn: Callable[..., object], args: tuple[Any, ...], expected: object
) -> None:
    assert fetch(spawn(fn, *args)) == expected


@pytest.mark.parametrize("spawner", [spawn, Spawner()], ids=["spawn", "Spawner"])
@pytest.mark.parametrize("args", [(), (3,), (None,)])
def test_spawn_of_nothing_callable_is_a_type_error(
    spawner: Any, args: tuple[object, ...]
) -> None:
    with pytest.raises(TypeError, match="call|argument"):
        spawner(*args)


def test_spawn_of_keywords_alone_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        spawn(fn=len)  # type: ignore[call-arg]


def test_child_never_runs_inside_the_spawn() -> None:
    inside = threading.local()

    def child() -> object:
        return getattr(inside, "now", False)

    for _ in range(200):
        inside.now = True
        tasks = [spawn(child) for _ in range(10)]
        inside.now = False
        assert not any(map(fetch, tasks))


def test_spawn_is_legal_in_a_done_callback() -> None:
    born = []
    task = spawn(int)
    task.add_done_callback(lambda _: born.append(spawn(everything, 1)))
    fetch(task)
    until(lambda: born)
    assert fetch(born[0]) == ((1,), {})


@pytest.mark.parametrize("verb", [spawn, lambda fn: fetch(spawn(fn))])
def test_finalizers_may_use_the_runtime(verb: Callable[..., object]) -> None:
    results: list[Any] = []

    class Dying:
        itself: object = None

        def __del__(self) -> None:
            results.append(verb(int))

    Dying()
    until(lambda: len(results) == 1)

    cycle = Dying()
    cycle.itself = cycle
    del cycle
    gc.collect()
    until(lambda: len(results) == 2)

    target = Adder(1)
    ref = weakref.ref(target, lambda _: results.append(verb(int)))
    del target
    until(lambda: len(results) == 3)
    assert ref() is None

    results = [fetch(r) if isinstance(r, Task) else r for r in results]
    assert results == [0, 0, 0]


def test_a_task_nobody_fetches_runs_all_the_same() -> None:
    ran: list[int] = []
    spawn(ran.append, 1)
    until(lambda: ran)


def test_every_task_runs_exactly_once() -> None:
    counts = [0] * 2000

    def count(i: int) -> None:
        counts[i] += 1

    tasks = [spawn(count, i) for i in range(len(counts))]
    threads = [threading.Thread(target=wait, args=tasks[i::4]) for i in range(4)]
    for thread in threads:
        thread.start()
    assert wait(*tasks)
    for thread in threads:
        thread.join()
    assert counts == [1] * len(counts)


# --- Spawner --------------------------------------------------------------------------


def test_spawner_names_the_task() -> None:
    task = Spawner(name="tidy up")(len, "abc")
    assert task.name == "tidy up"
    assert fetch(task) == 3


def test_spawner_is_used_again_and_again() -> None:
    spawner = Spawner(name="again")
    tasks = [spawner(operator.neg, i) for i in range(20)]
    assert [fetch(t) for t in tasks] == [-i for i in range(20)]
    assert {t.name for t in tasks} == {"again"}


def test_default_pool_may_be_named() -> None:
    assert fetch(Spawner(pool="default")(int)) == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": 3}, TypeError),
        ({"pool": 3}, (TypeError, ValueError)),
        ({"pool": "no such pool"}, ValueError),
        ({"context": 3}, TypeError),
        ({"colour": "red"}, TypeError),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_spawner_options_are_refused(
    options: dict[str, Any], error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    with pytest.raises(error, match="|".join(options)):
        Spawner(**options)


def test_spawner_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        Spawner("name")  # type: ignore[call-arg]


def test_pinned_task_runs_on_the_thread_that_spawned_it() -> None:
    tasks = [pinned(threading.get_ident) for _ in range(50)]
    assert {fetch(t) for t in tasks} == {threading.get_ident()}


def test_pinned_task_of_a_task_runs_on_that_tasks_thread() -> None:
    def parent() -> tuple[int, int]:
        return threading.get_ident(), fetch(pinned(threading.get_ident))

    for task in [spawn(parent) for _ in range(50)]:
        mine, childs = fetch(task)
        assert mine == childs


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs another signal")
def test_pinned_task_of_a_signal_handler_runs_though_main_sleeps(
    set_num_threads: Callable[[int], object],
) -> None:
    set_num_threads(2)
    done = threading.Event()

    def sleeps_of_main() -> int:
        return taskrt.stats()["workers"][0]["sleeps"]

    def wake_main_when_it_sleeps(before: int) -> None:
        while sleeps_of_main() == before:
            time.sleep(0.0002)
        os.kill(os.getpid(), signal.SIGUSR1)

    handler = signal.signal(signal.SIGUSR1, lambda *_: pinned(done.set))
    try:
        task = spawn(done.wait)
        while not task.running():  # on the other thread
            time.sleep(0.0002)
        killer = threading.Thread(
            target=wake_main_when_it_sleeps, args=(sleeps_of_main(),)
        )
        killer.start()
        assert wait(task, timeout=100)
        killer.join()
    finally:
        signal.signal(signal.SIGUSR1, handler)


def test_pinned_task_waits_for_its_thread() -> None:
    task = pinned(threading.get_ident)
    strangers = [
        threading.Thread(target=wait, args=(task,), kwargs={"timeout": 0})
        for _ in range(4)
    ]
    for stranger in strangers:
        stranger.start()
    for stranger in strangers:
        stranger.join()
    assert task.state == "pending"
    assert fetch(task) == threading.get_ident()
