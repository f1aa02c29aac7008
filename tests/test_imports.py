"""Modules whose import waits: to other tasks they are as to other threads."""

from __future__ import annotations

import gc
import importlib
import random
import sys
import textwrap
import threading
import types
from collections.abc import Callable, Iterator
from importlib import _bootstrap
from pathlib import Path
from typing import Any

import pytest
from support.child import UNDER_ASAN, run_script
from support.gates import Gate, join, pinned, until, until_suspended

import taskrt
from taskrt import Cancelled, Event, Task, _imports, fetch, spawn, wait, yield_now

TESTS = Path(__file__).parent
machinery: Any = _bootstrap

SLOW = """
    import door
    door.count += 1
    early = 1
    door.wait()
    late = 2
"""


class Door(types.ModuleType):
    """A module that those of the tests find what they wait for in."""

    def __init__(self) -> None:
        super().__init__("door")
        self.event = Event()
        self.wait: Callable[[], object] = self.event.wait
        self.count = 0


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    made = Door()
    monkeypatch.setitem(sys.modules, "door", made)
    return made


@pytest.fixture
def write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Give what writes a module; all are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names: list[str] = []

    def write_module(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        names.append(name)

    yield write_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def slow(door: Door, write: Callable[[str, str], None]) -> str:
    """Give the name of a module that waits for the door in the middle."""
    write("slow", SLOW)
    return "slow"


def load(name: str) -> tuple[int, int]:
    module: Any = importlib.import_module(name)
    return module.early, module.late


def load_by_statement() -> int:
    from slow import late  # type: ignore[import-not-found]

    return int(late)


pytestmark = pytest.mark.usefixtures("threads")


@pytest.mark.parametrize("spawner", [spawn, pinned], ids=["anywhere", "pinned"])
def test_whoever_comes_second_gets_the_whole_module(
    spawner: Callable[..., Task[Any]], slow: str, door: Door
) -> None:
    first = spawner(load, slow)
    until_suspended(first)
    others = [spawner(load, slow) for _ in range(3)]
    others += [spawner(load_by_statement) for _ in range(3)]
    until_suspended(*others)
    door.event.set()
    assert fetch(first) == (1, 2)
    assert [fetch(task) for task in others] == [(1, 2)] * 3 + [2] * 3
    assert door.count == 1


def test_main_imports_and_its_guests_wait(slow: str, door: Door) -> None:
    guests: list[Task[Any]] = []

    def let_guests_in() -> None:
        guests.extend(pinned(load, slow) for _ in range(3))
        until_suspended(*guests)

    door.wait = let_guests_in
    assert load(slow) == (1, 2)
    assert [fetch(task) for task in guests] == [(1, 2)] * 3


def test_main_waits_for_the_import_of_its_guest(slow: str, door: Door) -> None:
    guest = pinned(load, slow)
    until_suspended(guest)
    pinned(door.event.set)  # runs when main waits, as the guest goes on then
    assert load(slow) == (1, 2)
    assert fetch(guest) == (1, 2)


@pytest.mark.parametrize("first", ["thread", "task"])
def test_a_thread_and_a_task(first: str, slow: str, door: Door) -> None:
    outcomes: list[object] = []
    thread = threading.Thread(target=lambda: outcomes.append(load(slow)))
    if first == "thread":
        thread.start()
        until(lambda: door.count)
        task = pinned(load, slow)
        until_suspended(task)  # main is free, though Python would have blocked it
    else:
        task = pinned(load, slow)
        until_suspended(task)
        thread.start()
    door.event.set()
    assert fetch(task) == (1, 2)
    join(thread)
    assert outcomes == [(1, 2)]


def test_what_an_import_waits_for_may_come_from_its_own_thread(
    slow: str, door: Door
) -> None:
    """As from a task that has started there long ago."""
    with Gate() as gate:

        def opens() -> None:
            fetch(gate.task)
            door.event.set()

        opener = pinned(opens)
        until_suspended(opener)
        importer = pinned(load, slow)
        until_suspended(importer)
        gate.open()
        assert fetch(importer) == (1, 2)


WAITS: dict[str, Callable[[], object]] = {
    "fetch": lambda: fetch(spawn(yield_now), timeout=60),
    "sleep": lambda: taskrt.sleep(0.001),
    "yield": lambda: [yield_now() for _ in range(10)],
    "channel": lambda: meet(taskrt.Channel(0)),
    "lock": lambda: hold_twice(taskrt.Lock()),
}


def meet(channel: taskrt.Channel[int]) -> None:
    task = spawn(channel.put, 1)
    assert channel.get() == 1
    fetch(task)


def hold_twice(lock: taskrt.Lock) -> None:
    with lock:
        task = spawn(lock.acquire)
        until_suspended(task)
    fetch(task)


@pytest.mark.parametrize("how", WAITS)
def test_any_wait(how: str, slow: str, door: Door) -> None:
    door.wait = WAITS[how]
    tasks = [spawn(load, slow) for _ in range(8)]
    assert [fetch(task) for task in tasks] == [(1, 2)] * 8
    assert door.count == 1


def test_an_import_that_fails_is_tried_by_the_next(
    door: Door, write: Callable[[str, str], None]
) -> None:
    write(
        "fragile",
        SLOW + "    if door.count == 1:\n        raise ValueError('the first time')\n",
    )
    first = pinned(load, "fragile")
    until_suspended(first)
    second = pinned(load, "fragile")
    until_suspended(second)
    door.event.set()
    assert str(first.exception()) == "the first time"
    assert fetch(second) == (1, 2)
    assert door.count == 2


def test_a_circle_of_imports_ends(
    door: Door, write: Callable[[str, str], None]
) -> None:
    for name, other in [("ping", "pong"), ("pong", "ping")]:
        write(name, f"early = 1\nimport door\ndoor.wait()\nimport {other}\nlate = 2\n")
    tasks = [pinned(load, name) for name in ("ping", "pong")]
    until_suspended(*tasks)
    door.event.set()
    assert [fetch(task) for task in tasks] == [(1, 2)] * 2


def test_a_task_run_as_a_call_is_part_of_the_import(slow: str, door: Door) -> None:
    seen: list[list[bool]] = []

    def look() -> None:
        module = __import__(slow)
        seen.append([hasattr(module, "early"), hasattr(module, "late")])

    door.wait = lambda: fetch(pinned(look))
    assert load(slow) == (1, 2)
    assert seen == [[True, False]]


def test_a_task_that_the_import_waits_for_gets_what_there_is(
    slow: str, door: Door
) -> None:
    """It would never get more: a circle of imports, as a plain call would be."""
    seen: list[list[bool]] = []
    with Gate() as gate:

        def look() -> None:
            fetch(gate.task)
            module = __import__(slow)
            seen.append([hasattr(module, "early"), hasattr(module, "late")])

        def wait_for_it() -> None:
            gate.open()
            fetch(looker)

        looker = pinned(look)
        until_suspended(looker)
        door.wait = wait_for_it
        assert load(slow) == (1, 2)
    assert seen == [[True, False]]


def test_a_stack_that_cannot_be_left_gets_what_there_is(slow: str, door: Door) -> None:
    """A collection's, while a suspended task of its thread has the lock."""
    seen: list[list[bool]] = []

    class Trash:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            module = __import__(slow)
            seen.append([hasattr(module, "early"), hasattr(module, "late")])

    first = pinned(load, slow)
    until_suspended(first)
    Trash()
    gc.collect()
    assert seen == [[True, False]]
    door.event.set()
    assert fetch(first) == (1, 2)


def test_a_wait_for_an_import_can_be_cancelled(slow: str, door: Door) -> None:
    met: list[str] = []

    def impatient() -> None:
        try:
            load(slow)
        except Cancelled:
            met.append("cancelled")
            raise

    first = pinned(load, slow)
    until_suspended(first)
    tasks = [pinned(impatient) for _ in range(2)]
    patient = pinned(load, slow)
    until_suspended(*tasks, patient)
    for task in tasks:
        task.cancel()
    wait(*tasks)
    assert met == ["cancelled"] * 2
    door.event.set()
    assert fetch(first) == fetch(patient) == (1, 2)


def test_a_cancelled_import_leaves_no_lock(slow: str, door: Door) -> None:
    first = pinned(load, slow)
    until_suspended(first)
    second = pinned(load, slow)
    until_suspended(second)
    first.cancel()
    wait(first)
    assert first.cancelled()
    door.event.set()
    assert fetch(second) == (1, 2)
    assert door.count == 2
    del first, second
    gc.collect()
    assert slow not in machinery._module_locks


def test_many_modules_that_many_tasks_import(
    door: Door, write: Callable[[str, str], None]
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    names = [f"crowd{i}" for i in range(12)]
    for i, name in enumerate(names):
        below = rng.sample(names[:i], min(i, 3))  # no circles
        imports = "".join(f"import {other}\ndoor.wait()\n" for other in below)
        write(name, f"import door\nearly = 1\n{imports}door.wait()\nlate = 2\n")
    door.wait = lambda: [yield_now() for _ in range(3)]
    chosen = [rng.choice(names) for _ in range(100)]
    tasks = [spawn(load, name) for name in chosen]
    assert [fetch(task) for task in tasks] == [(1, 2)] * 100


def test_each_stack_has_a_number_of_its_own() -> None:
    get_ident = machinery._thread.get_ident
    ids: list[int] = []

    def note() -> None:
        ids.append(get_ident())
        yield_now()
        ids.append(get_ident())

    fetch(spawn(int))
    wait(*(pinned(note) for _ in range(2)), timeout=60)
    assert len(ids) == 4
    assert len(set(ids)) == 2
    assert get_ident() == threading.get_ident()
    assert threading.get_ident() not in ids


def test_an_interpreter_with_other_parts_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = types.SimpleNamespace(_thread=object(), _module_locks={})
    before = dict(vars(parts))
    monkeypatch.setattr(_imports, "_bootstrap", parts)
    _imports.own_by_stack()
    assert vars(parts) == before


@pytest.mark.isolated
@pytest.mark.parametrize(
    "script",
    ["import_crowd", "import_deadlock", "import_first", "import_fork", "import_thread"],
)
def test_in_a_process_of_its_own(script: str, threads: int, tmp_path: Path) -> None:
    if UNDER_ASAN and script == "import_fork" and threads > 1:
        pytest.skip("forks beside other threads, see child.py")
    result = run_script(
        TESTS / "isolated" / f"{script}.py",
        str(tmp_path),
        env={"TASKRT_NUM_THREADS": str(threads), "PYTHONPATH": str(TESTS)},
        options=["-B", "-W", "ignore::DeprecationWarning"],
    )
    assert result.stdout == "well\n"
