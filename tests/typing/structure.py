"""What the type checkers must say of groups, scopes and waits. Checked, never run."""

from random import Random
from typing import assert_type

from numpy.random import Generator

from taskrt import (
    CancelScope,
    RandomStreams,
    Task,
    TaskGroup,
    TaskLocal,
    Timer,
    as_completed,
    fail_after,
    fetch_all,
    join,
    limit,
    move_on_after,
    numpy_random,
    race,
    random,
    run_blocking,
    seed_random,
    spawn,
    spawn_after,
    spawn_later,
    wait_all,
    wait_any,
)


def count(text: str, *, base: int = 10) -> int:
    return int(text, base)


def zero() -> int:
    return 0


def empty() -> str:
    return ""


with TaskGroup(on_error="wait", limit=3) as group:
    assert_type(group, TaskGroup)
    assert_type(group.spawn(count, "5", base=16), Task[int])
    group.cancel("why")
assert_type(group.results, list[object])
TaskGroup(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
TaskGroup(limit="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with CancelScope(deadline=1.5, shield=True) as scope:
    assert_type(scope, CancelScope)
assert_type(scope.deadline, float | None)
assert_type(scope.cancelled_caught, bool)
with move_on_after(1) as scope:
    scope.deadline = 5
with fail_after(1) as scope:
    assert_type(scope, CancelScope)
assert_type(move_on_after(None), CancelScope)
fail_after(None)

tasks = [spawn(zero), spawn(zero)]
assert_type(wait_any(tasks), tuple[set[Task[int]], set[Task[int]]])
assert_type(
    wait_all(tasks, 1.5, fail_fast=False), tuple[set[Task[int]], set[Task[int]]]
)
assert_type(fetch_all(tasks), list[int])
for task in as_completed(tasks, timeout=5):
    assert_type(task, Task[int])

assert_type(join(zero), tuple[int])
assert_type(join(zero, empty), tuple[int, str])
assert_type(join(zero, empty, zero), tuple[int, str, int])
assert_type(race(zero, zero), int)

assert_type(spawn_after(tasks, count, "5"), Task[int])
assert_type(spawn_after(tasks[0], count, "5"), Task[int])
assert_type(spawn_later(0.5, count, "5", base=2), Task[int])
assert_type(Timer(1, print, "text", interval=None).cancel(), bool)

with limit(2) as narrow:
    assert_type(narrow, limit)
    assert_type(narrow.n, int)
limit(1.5)  # type: ignore[arg-type]

assert_type(random(), Random)
assert_type(numpy_random(), Generator)
assert_type(RandomStreams("seed")[3], Random)
assert_type(RandomStreams().numpy(3), Generator)
seed_random(b"seed")
seed_random(1.5)  # type: ignore[arg-type]

local = TaskLocal(empty)
assert_type(local.get(), str)
local.set("text")
assert_type(spawn(zero).report_errors(), Task[int])

assert_type(run_blocking(count, "11", base=2), int)
run_blocking(count, 1)  # type: ignore[arg-type]
