"""With TASKRT_INLINE=0 no task runs on top of another, and results are the same."""

import traceback

from taskrt import Task, fetch, spawn, wait


def fib(n: int) -> int:
    return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)


def names_on_the_stack() -> list[str]:
    return [frame.name for frame in traceback.extract_stack()]


def main_function() -> tuple[list[str], list[str]]:
    return fetch(spawn(names_on_the_stack)), fetch(spawn(task_function))


def task_function() -> list[str]:
    return fetch(spawn(names_on_the_stack))


from_main, from_task = main_function()
assert "main_function" not in from_main, from_main
assert "task_function" not in from_task, from_task
assert fib(12) == 144
assert wait(*[spawn(fib, 5) for _ in range(20)])


def link(previous: Task[int]) -> int:
    return fetch(previous) + 1


last = spawn(int)
for _ in range(2000):
    last = spawn(link, last)
assert fetch(last) == 2000
print("same")
