"""`spawn`, `Spawner`, `fetch`, `wait` and the `Task` object."""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import gc
import math
import operator
import pickle
import threading
import traceback
import weakref

import pytest
from support.gates import Gate, pinned, until, until_suspended

import taskrt
from taskrt import Spawner, Task, current_task, fetch, spawn, wait


def everything(*args, **kwargs):
    return args, kwargs


class Adder:
    def __init__(self, base):
        self.base = base

    def __call__(self, n):
        return self.base + n

    def method(self, n):
        return self.base + n

    @classmethod
    def from_class(cls, n):
        return cls, n

    @staticmethod
    def from_nowhere(n):
        return n


# --- spawn -----------------------------------------------------------------------------


def test_fetch_returns_what_the_function_returned():
    value = object()
    assert fetch(spawn(lambda: value)) is value


@pytest.mark.parametrize("named", [0, 1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 17, 300])
def test_arguments_arrive_as_given(count, named):
    args = tuple(object() for _ in range(count))
    kwargs = {f"key{i}": object() for i in range(named)}
    got_args, got_kwargs = fetch(spawn(everything, *args, **kwargs))
    assert got_args == args
    assert got_kwargs == kwargs
    assert list(got_kwargs) == list(kwargs)


@pytest.mark.parametrize(
    "name",
    "fn func function name pool pinned context detached timeout self task args kwargs msg"
    .split(),
)
def test_options_never_take_a_keyword_of_the_function(name):
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
def test_any_callable_is_spawned(fn, args, expected):
    assert fetch(spawn(fn, *args)) == expected


@pytest.mark.parametrize("spawner", [spawn, Spawner()], ids=["spawn", "Spawner"])
@pytest.mark.parametrize("args", [(), (3,), (None,)])
def test_spawn_of_nothing_callable_is_a_type_error(spawner, args):
    with pytest.raises(TypeError, match="call|argument"):
        spawner(*args)


def test_spawn_of_keywords_alone_is_a_type_error():
    with pytest.raises(TypeError):
        spawn(fn=len)


def test_child_never_runs_inside_the_spawn():
    inside = threading.local()

    def child():
        return getattr(inside, "now", False)

    for _ in range(200):
        inside.now = True
        tasks = [spawn(child) for _ in range(10)]
        inside.now = False
        assert not any(map(fetch, tasks))


def test_spawn_is_legal_in_a_done_callback():
    born = []
    task = spawn(int)
    task.add_done_callback(lambda _: born.append(spawn(everything, 1)))
    fetch(task)
    until(lambda: born)
    assert fetch(born[0]) == ((1,), {})


@pytest.mark.parametrize("verb", [spawn, lambda fn: fetch(spawn(fn))])
def test_finalizers_may_use_the_runtime(verb):
    results = []

    class Dying:
        def __del__(self):
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


def test_a_task_nobody_fetches_runs_all_the_same():
    ran = []
    spawn(ran.append, 1)
    until(lambda: ran)


def test_every_task_runs_exactly_once():
    counts = [0] * 2000

    def count(i):
        counts[i] += 1

    tasks = [spawn(count, i) for i in range(len(counts))]
    threads = [threading.Thread(target=wait, args=tasks[i::4]) for i in range(4)]
    for thread in threads:
        thread.start()
    assert wait(*tasks)
    for thread in threads:
        thread.join()
    assert counts == [1] * len(counts)


# --- Spawner ---------------------------------------------------------------------------


def test_spawner_names_the_task():
    task = Spawner(name="tidy up")(len, "abc")
    assert task.name == "tidy up"
    assert fetch(task) == 3


def test_spawner_is_used_again_and_again():
    spawner = Spawner(name="again")
    tasks = [spawner(operator.neg, i) for i in range(20)]
    assert [fetch(t) for t in tasks] == [-i for i in range(20)]
    assert {t.name for t in tasks} == {"again"}


def test_default_pool_may_be_named():
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
def test_bad_spawner_options_are_refused(options, error):
    with pytest.raises(error, match="|".join(options)):
        Spawner(**options)


def test_spawner_options_are_keyword_only():
    with pytest.raises(TypeError):
        Spawner("name")


def test_pinned_task_runs_on_the_thread_that_spawned_it():
    tasks = [pinned(threading.get_ident) for _ in range(50)]
    assert {fetch(t) for t in tasks} == {threading.get_ident()}


def test_pinned_task_of_a_task_runs_on_that_tasks_thread():
    def parent():
        return threading.get_ident(), fetch(pinned(threading.get_ident))

    for task in [spawn(parent) for _ in range(50)]:
        mine, childs = fetch(task)
        assert mine == childs


def test_pinned_task_waits_for_its_thread():
    task = pinned(threading.get_ident)
    strangers = [threading.Thread(target=wait, args=(task,), kwargs={"timeout": 0}) for _ in range(4)]
    for stranger in strangers:
        stranger.start()
    for stranger in strangers:
        stranger.join()
    assert task.state == "pending"
    assert fetch(task) == threading.get_ident()


# --- the Task object -------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), (int,)])
def test_task_cannot_be_constructed(args):
    with pytest.raises(TypeError, match="spawn"):
        Task(*args)
    with pytest.raises(TypeError):
        object.__new__(Task)


@pytest.mark.parametrize(
    "duplicate",
    [pickle.dumps, copy.copy, copy.deepcopy],
    ids=lambda f: f.__qualname__,
)
def test_task_is_not_copied_or_pickled(duplicate):
    task = spawn(int)
    with pytest.raises(TypeError, match="Task"):
        duplicate(task)
    assert fetch(task) == 0


def test_task_is_weakly_referable():
    task = spawn(int)
    ref = weakref.ref(task)
    assert ref() is task
    fetch(task)
    del task
    until(lambda: gc.collect() is not None and ref() is None)


def test_task_is_generic_at_run_time():
    assert Task[int].__origin__ is Task


def test_tasks_compare_and_hash_by_identity():
    one, two = spawn(int), spawn(int)
    assert one == one
    assert one != two
    assert len({one, two, one}) == 2
    wait(one, two)


def test_ids_are_distinct_integers():
    tasks = [spawn(int) for _ in range(100)]
    wait(*tasks)
    assert all(type(t.id) is int for t in tasks)
    assert len({t.id for t in tasks}) == 100


def test_a_task_has_a_name_without_being_given_one():
    task = spawn(everything)
    assert isinstance(task.name, str)
    assert task.name
    fetch(task)


def test_repr_shows_name_and_state():
    task = Spawner(name="painter", pinned=True)(int)
    assert "painter" in repr(task)
    assert "pending" in repr(task)
    fetch(task)
    assert "painter" in repr(task)
    assert "done" in repr(task)


def poll(task):
    return task.state, task.done(), task.running(), task.cancelled()


def test_states_of_a_task_that_ends_well():
    seen = []
    task = pinned(lambda: seen.append(poll(current_task())))
    assert poll(task) == ("pending", False, False, False)
    fetch(task)
    assert seen == [("running", False, True, False)]
    assert poll(task) == ("done", True, False, False)


def test_states_of_a_task_that_fails():
    task = pinned(lambda: 1 / 0)
    wait(task)
    assert poll(task) == ("failed", True, False, False)
    assert isinstance(task.exception(), ZeroDivisionError)


def test_states_of_a_task_that_is_cancelled():
    task = pinned(int)
    task.cancel()
    assert poll(task) == ("cancelled", True, False, True)


def test_states_of_a_task_that_suspends():
    with Gate() as gate:
        task = pinned(fetch, gate.task)
        until_suspended(task)
        assert poll(task) == ("suspended", False, True, False)
        gate.close()
        assert poll(task) == ("ready", False, True, False)
        fetch(task)
        assert task.state == "done"


def test_running_is_seen_from_outside():
    with Gate() as gate:
        assert poll(gate.task) == ("running", False, True, False)


def test_task_has_the_methods_of_a_future():
    task = spawn(int)
    for name in (
        "result", "exception", "done", "running", "cancelled", "cancel",
        "add_done_callback",
    ):  # fmt: skip
        assert hasattr(concurrent.futures.Future, name)
        assert callable(getattr(task, name))
    assert task.result() == 0
    assert task.exception() is None


# --- fetch -----------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [fetch, Task.result], ids=["fetch", "result"])
def test_a_result_is_kept_for_every_asker(ask):
    value = object()
    task = spawn(lambda: value)
    assert [ask(task) for _ in range(10)] == [value] * 10


def test_many_tasks_and_threads_fetch_one_task():
    value = object()
    got = []
    with Gate(value) as gate:
        tasks = [spawn(fetch, gate.task) for _ in range(100)]
        threads = [
            threading.Thread(target=lambda: got.append(fetch(gate.task)))
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        until_suspended(*tasks)
        gate.open()
        assert all(fetch(t) is value for t in tasks)
        assert fetch(gate.task) is value
        for thread in threads:
            thread.join()
    assert got == [value] * 10


@pytest.mark.parametrize("thing", [3, None, int, concurrent.futures.Future()])
def test_fetch_of_anything_but_a_task_is_a_type_error(thing):
    kind = type(thing).__name__
    with pytest.raises(TypeError, match=rf"^fetch\(\) takes a taskrt.Task, not '{kind}'"):
        fetch(thing)
    with pytest.raises(TypeError, match="taskrt.Task"):
        wait(thing)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: fetch(),
        lambda t: fetch(t, 1, 2),
        lambda t: fetch(t, patience=1),
        lambda t: wait(t, patience=1),
        lambda t: t.result(1, 2),
        lambda t: t.exception(patience=1),
        lambda t: t.add_done_callback(),
    ],
)
def test_wrong_calls_are_type_errors(call):
    task = spawn(int)
    with pytest.raises(TypeError):
        call(task)
    assert fetch(task) == 0


def each_timed_wait(task, timeout):
    """Every way to wait with a timeout; each either raises TimeoutError or is False."""
    yield lambda: fetch(task, timeout)
    yield lambda: fetch(task, timeout=timeout)
    yield lambda: task.result(timeout)
    yield lambda: task.result(timeout=timeout)
    yield lambda: task.exception(timeout)
    yield lambda: task.exception(timeout=timeout)


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, -math.inf, 0.001, 1e-9])
def test_timeout_leaves_the_task_running(timeout):
    with Gate(7) as gate:
        for attempt in each_timed_wait(gate.task, timeout):
            with pytest.raises(TimeoutError):
                attempt()
        assert wait(gate.task, timeout=timeout) is False
        assert gate.task.state == "running"
        gate.open()
        assert fetch(gate.task) == 7


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_timeout_inside_a_task(timeout):
    def impatient(task):
        outcomes = []
        for attempt in each_timed_wait(task, timeout):
            with pytest.raises(TimeoutError):
                attempt()
            outcomes.append(current_task().state)
        return outcomes, wait(task, timeout=timeout)

    with Gate() as gate:
        tasks = [spawn(impatient, gate.task) for _ in range(10)]
        assert [fetch(t) for t in tasks] == [(["running"] * 6, False)] * 10
        assert gate.task.state == "running"


def test_timeout_on_a_foreign_thread():
    outcomes = []

    def impatient(task):
        try:
            fetch(task, timeout=0.001)
        except TimeoutError as error:
            outcomes.append(error)
        outcomes.append(wait(task, timeout=0))

    with Gate() as gate:
        thread = threading.Thread(target=impatient, args=(gate.task,))
        thread.start()
        thread.join()
    assert isinstance(outcomes[0], TimeoutError)
    assert outcomes[1] is False


@pytest.mark.parametrize("timeout", [0, -1, 0.5, 3, 1e9, 1e300, math.inf, None, True])
def test_a_finished_task_needs_no_time(timeout):
    task = spawn(int)
    wait(task)
    assert wait(task, timeout=timeout) is True
    assert task.exception(timeout) is None
    assert task.result(timeout) == fetch(task, timeout) == 0


@pytest.mark.parametrize("timeout", [60, 1e9, 1e300, math.inf, None])
def test_a_pending_task_runs_within_a_long_timeout(timeout):
    assert fetch(pinned(int), timeout) == 0
    assert wait(pinned(int), pinned(int), timeout=timeout) is True
    assert fetch(spawn(lambda: fetch(pinned(int), timeout))) == 0


def test_a_poll_starts_nothing():
    task = pinned(int)
    with pytest.raises(TimeoutError):
        fetch(task, 0)
    assert wait(task, timeout=0) is False
    assert task.state == "pending"
    assert fetch(task) == 0


@pytest.mark.parametrize(
    ("timeout", "error"),
    [("1", TypeError), ([], TypeError), (1j, TypeError), (math.nan, ValueError)],
)
def test_bad_timeouts_are_refused(timeout, error):
    finished = spawn(int)
    wait(finished)
    with Gate() as gate:
        for task in (finished, gate.task):
            for attempt in each_timed_wait(task, timeout):
                with pytest.raises(error, match="timeout"):
                    attempt()
            with pytest.raises(error, match="timeout"):
                wait(task, timeout=timeout)


# --- wait ------------------------------------------------------------------------------


def test_wait_for_nothing_is_true():
    assert wait() is True
    assert wait(timeout=0) is True


def test_wait_takes_any_number_of_tasks_in_any_state():
    done, failed, cancelled = spawn(int), spawn(lambda: 1 / 0), pinned(int)
    cancelled.cancel()
    pending = [spawn(int) for _ in range(100)]
    assert wait(done, failed, cancelled, *pending, done, failed) is True
    assert all(t.done() for t in (done, failed, cancelled, *pending))
    failed.defuse()


def test_wait_is_false_while_one_of_the_tasks_runs():
    with Gate() as gate:
        done = spawn(int)
        wait(done)
        assert wait(done, gate.task, timeout=0) is False
        assert wait(gate.task, done, timeout=0.001) is False
        gate.open()
        assert wait(gate.task, done, timeout=60) is True


def test_wait_returns_only_when_all_are_done():
    with Gate() as first, Gate() as second:
        waiter = pinned(wait, first.task, second.task)
        until_suspended(waiter)
        first.close()
        taskrt.yield_now()
        taskrt.yield_now()
        assert not waiter.done()
        second.close()
        assert fetch(waiter) is True


# --- running in the caller -------------------------------------------------------------


def names_on_the_stack():
    return [frame.name for frame in traceback.extract_stack()]


def test_fetch_runs_a_pending_task_as_a_plain_call():
    assert "test_fetch_runs_a_pending_task_as_a_plain_call" in fetch(
        pinned(names_on_the_stack)
    )


def test_wait_with_a_timeout_does_not_run_the_task_on_top():
    task = pinned(names_on_the_stack)
    assert "test_wait_with_a_timeout_does_not_run_the_task_on_top" not in fetch(task, 60)


def test_current_task_is_the_childs_while_it_runs():
    def parent():
        me = current_task()
        child = pinned(current_task)
        assert fetch(child) is child
        assert current_task() is me
        failing = pinned(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fetch(failing)
        assert current_task() is me
        return me

    assert current_task() is None
    task = spawn(parent)
    assert fetch(task) is task
    assert current_task() is None


def test_current_task_on_a_foreign_thread():
    seen = []

    def run():
        seen.append(current_task())
        task = spawn(current_task)
        seen.append(fetch(task) is task)
        seen.append(current_task())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [None, True, None]


# --- suspension ------------------------------------------------------------------------


def test_a_task_resumes_on_the_thread_that_started_it():
    def stay(task):
        before = threading.get_ident(), taskrt.thread_id()
        fetch(task)
        return before == (threading.get_ident(), taskrt.thread_id())

    with Gate() as gate:
        tasks = [spawn(stay, gate.task) for _ in range(100)]
        until_suspended(*tasks)
        gate.open()
        assert all(map(fetch, tasks))


def test_current_task_survives_suspension():
    def look(task):
        before = current_task()
        fetch(task)
        return before is current_task()

    with Gate() as gate:
        tasks = [spawn(look, gate.task) for _ in range(20)]
        until_suspended(*tasks)
        gate.open()
        assert all(map(fetch, tasks))


class Weigher:
    """Suspends wherever Python or C code calls back."""

    def __init__(self, task):
        self.task = task

    def __getattr__(self, name):
        return fetch(self.task)

    def __getitem__(self, key):
        return fetch(self.task)

    def __iter__(self):
        yield fetch(self.task)

    def __enter__(self):
        return fetch(self.task)

    def __exit__(self, *error):
        return fetch(self.task) and False

    def __call__(self, *args):
        return fetch(self.task)

    def __index__(self):
        return fetch(self.task)

    def __eq__(self, other):
        return bool(fetch(self.task))

    __hash__ = None


def with_statement(weigher):
    with weigher as value:
        return value


def try_finally(weigher):
    try:
        return weigher()
    finally:
        weigher()


def except_clause(weigher):
    try:
        raise ValueError("the first")
    except ValueError as error:
        value = weigher()
        try:
            raise
        except ValueError as again:
            assert again is error
        return value


def generator_in_use(weigher):
    def produce():
        yield weigher()
        yield weigher()

    first, second = produce()
    return first if first == second else None


@pytest.mark.parametrize(
    "suspend",
    [
        lambda w: w.attribute,
        lambda w: w["key"],
        lambda w: next(iter(w)),
        lambda w: list(map(w, [1]))[0],
        lambda w: max([5, 6, 7], key=w) and w(),
        lambda w: sorted([3, 2, 1], key=w) == [3, 2, 1] and w(),
        lambda w: functools.reduce(w, [1, 2, 3]),
        lambda w: operator.index(w),
        lambda w: [0].count(w) == 1 and w(),
        lambda w: [x for x in (w() for _ in range(3))][2],
        lambda w: eval("w()", {"w": w}),
        with_statement,
        try_finally,
        except_clause,
        generator_in_use,
    ],
)
def test_a_task_suspends_anywhere_in_the_call_tree(suspend):
    with Gate(7) as gate:
        weigher = Weigher(gate.task)
        tasks = [spawn(suspend, weigher) for _ in range(5)]
        until_suspended(*tasks)
        gate.open()
        assert [fetch(t) for t in tasks] == [7] * 5


def test_suspended_tasks_take_no_threads():
    natives = set()

    def note(task):
        natives.add(threading.get_native_id())
        fetch(task)
        natives.add(threading.get_native_id())

    with Gate() as gate:
        tasks = [spawn(note, gate.task) for _ in range(500)]
        until_suspended(*tasks)
        gate.open()
        wait(*tasks)
    assert len(natives) <= taskrt.num_threads()


# --- done callbacks --------------------------------------------------------------------


def test_callbacks_run_in_the_order_they_were_added():
    seen = []
    task = pinned(int)
    for i in range(10):
        task.add_done_callback(lambda t, i=i: seen.append((i, t)))
    assert seen == []
    fetch(task)
    until(lambda: len(seen) == 10)
    assert seen == [(i, task) for i in range(10)]


def test_callback_of_a_finished_task_runs_at_once():
    task = spawn(int)
    wait(task)
    seen = []
    assert task.add_done_callback(seen.append) is None
    assert seen == [task]


@pytest.mark.parametrize("fn", [lambda: 1 / 0, int], ids=["failed", "cancelled"])
def test_callbacks_run_however_the_task_ends(fn):
    seen = []
    task = pinned(fn)
    task.add_done_callback(lambda t: seen.append(t.done()))
    if fn is int:
        task.cancel()
    wait(task)
    until(lambda: seen)
    assert seen == [True]
    task.defuse()


def test_callback_must_be_callable():
    task = spawn(int)
    with pytest.raises(TypeError):
        task.add_done_callback(3)
    assert fetch(task) == 0


def test_waiters_are_released_before_callbacks_run():
    released = threading.Event()
    with Gate() as gate:
        gate.task.add_done_callback(lambda _: released.wait())
        gate.open()
        fetch(gate.task)
        released.set()


def test_callback_may_use_its_task():
    seen = []

    def callback(task):
        seen.append((task.done(), fetch(task), task.result(), fetch(spawn(int))))
        task.add_done_callback(lambda _: seen.append("nested"))

    task = spawn(lambda: 5)
    task.add_done_callback(callback)
    fetch(task)
    until(lambda: len(seen) == 2)
    assert seen == [(True, 5, 5, 0), "nested"]


def test_callback_error_is_reported_and_harms_nothing(monkeypatch):
    reports = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: reports.append(report))
    seen = []
    error = ValueError("callback")

    def bad(task):
        raise error

    task = pinned(int)
    task.add_done_callback(bad)
    task.add_done_callback(seen.append)
    assert fetch(task) == 0
    until(lambda: seen)
    assert [report.exc_value for report in reports] == [error]
    task.add_done_callback(bad)
    assert [report.exc_value for report in reports] == [error, error]
    del reports[:]


def test_callback_added_while_the_task_ends_runs_exactly_once():
    for _ in range(300):
        seen = []
        task = spawn(int)
        threads = [
            threading.Thread(target=task.add_done_callback, args=(seen.append,))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        fetch(task)
        for thread in threads:
            thread.join()
        until(lambda seen=seen: len(seen) == 2)
        assert seen == [task, task]
