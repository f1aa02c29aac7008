"""What the type checkers must say of a Task. Checked, never run."""

from concurrent.futures import CancelledError as FuturesCancelledError
from typing import Literal, assert_type

from taskrt import Cancelled, CancelledError, DeadlockError, Task, TaskLostError, spawn


class Animal: ...


class Dog(Animal): ...


task = spawn(Dog)
assert_type(task, Task[Dog])
assert_type(task.result(), Dog)
assert_type(task.result(1), Dog)
assert_type(task.result(timeout=None), Dog)
assert_type(task.exception(), BaseException | None)
assert_type(task.exception(timeout=0.5), BaseException | None)
assert_type(task.done(), bool)
assert_type(task.running(), bool)
assert_type(task.cancelled(), bool)
assert_type(task.cancel(), bool)
assert_type(task.cancel("why"), bool)
assert_type(task.cancel(msg="why"), bool)
assert_type(task.name, str)
assert_type(task.id, int)
assert_type(
    task.state,
    Literal["pending", "running", "suspended", "ready", "done", "failed", "cancelled"],
)


def seen(done: Task[Dog]) -> None: ...


def seen_animal(done: Task[Animal]) -> object: ...


def seen_other(done: Task[int]) -> None: ...


task.add_done_callback(seen)
task.add_done_callback(print)
task.defuse()
task.add_done_callback(seen_other)  # type: ignore[arg-type]

# A task of a dog is a task of an animal: nobody can put another result into it.
animal: Task[Animal] = task
task.add_done_callback(seen_animal)
cat: Task[int] = task  # type: ignore[assignment]

# Read-only, and only made by spawn.
task.name = "n"  # type: ignore[misc]
task.state = "done"  # type: ignore[misc]

# The errors are of their kinds.
futures_error: type[FuturesCancelledError] = CancelledError
runtime_errors: list[type[RuntimeError]] = [DeadlockError, TaskLostError]
base: type[BaseException] = Cancelled
not_plain: type[Exception] = Cancelled  # type: ignore[assignment]

# Methods may be passed around, and nobody makes a task by hand.
assert_type(Task[Dog].result(task), Dog)
assert_type(list(map(Task[Dog].done, [task])), list[bool])
Task()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
