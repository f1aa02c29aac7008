"""What the type checkers must say of spawn, fetch and Task. Checked, never run."""

from collections.abc import Callable
from contextvars import Context
from typing import assert_type

from taskrt import (
    INHERIT,
    Spawner,
    Task,
    cancel_requested,
    checkpoint,
    current_task,
    fetch,
    spawn,
    wait,
    yield_now,
)


def area(width: int, height: float = 1.0, *, unit: str = "m") -> float:
    return width * height * len(unit)


def nothing() -> None: ...


class Shape:
    def __init__(self, sides: int) -> None:
        self.sides = sides

    def scaled(self, factor: float) -> "Shape":
        return Shape(int(self.sides * factor))


# The result's type follows the function's.
assert_type(spawn(area, 1), Task[float])
assert_type(spawn(area, 1, 2.0, unit="cm"), Task[float])
assert_type(spawn(nothing), Task[None])
assert_type(spawn(Shape, 3), Task[Shape])
assert_type(spawn(Shape(3).scaled, 1.5), Task[Shape])
assert_type(spawn(len, "abc"), Task[int])
assert_type(fetch(spawn(area, 1)), float)
assert_type(fetch(spawn(area, 1), timeout=0.5), float)
assert_type(fetch(spawn(area, 1), None), float)
assert_type(fetch(spawn(fetch, spawn(area, 1))), float)

# Arguments are checked against the function's.
spawn(area, "1")  # type: ignore[arg-type]
spawn(area)  # type: ignore[call-arg]
spawn(area, 1, unit=2)  # type: ignore[arg-type]
spawn(area, 1, name="n")  # type: ignore[call-arg]
spawn(3)  # type: ignore[arg-type]
fetch(3)  # type: ignore[arg-type]
fetch(spawn(nothing), "soon")  # type: ignore[arg-type]

# Options are keywords of Spawner and never of the call.
spawner = Spawner(name="area", pool="default", pinned=True, detached=False)
assert_type(spawner(area, 1, unit="m"), Task[float])
assert_type(Spawner(context=None)(nothing), Task[None])
assert_type(Spawner(context=Context(), pool=None)(nothing), Task[None])
Spawner(context=INHERIT)
Spawner("name")  # type: ignore[call-arg]
Spawner(context=3)  # type: ignore[arg-type]
Spawner(colour=3)  # type: ignore[call-arg]
spawner(area, "1")  # type: ignore[arg-type]

# Waiting.
assert_type(wait(), bool)
assert_type(wait(spawn(area, 1), spawn(nothing), timeout=1), bool)
wait(3)  # type: ignore[arg-type]

# Inside a task.
assert_type(yield_now(), bool)
assert_type(cancel_requested(), bool)
here = current_task()
if here is not None:
    assert_type(here, Task[object])


def take(get: Callable[[], float]) -> None: ...


take(spawn(area, 1).result)
take(lambda: fetch(spawn(area, 1)))
checkpoint()
