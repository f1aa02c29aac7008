"""Tasks, each suspended in the same function."""

from _gate import Gate
from _measure import WrongAnswerError, rss_bytes

from memory_suspended import body
from taskrt import Task, fetch, spawn, yield_now


def bytes_each(count: int) -> float:
    """Return how much the process grows per task; each is then resumed."""
    tasks: list[Task[object] | None] = [None] * count
    with Gate() as gate:
        first = spawn(body.body, fetch, gate.task)
        run_until_started(1)
        before = rss_bytes()
        for i in range(count):
            tasks[i] = spawn(body.body, fetch, gate.task)
        run_until_started(count + 1)
        grown = rss_bytes() - before
        suspended = sum(task.state == "suspended" for task in tasks if task)
    results = [fetch(task) for task in [first, *tasks] if task]
    if suspended != count or results != [None] * (count + 1):
        raise WrongAnswerError(f"{suspended} of {count} were suspended")
    return grown / count


def run_until_started(count: int) -> None:
    """Give way to the tasks until so many have started and suspended."""
    while body.started < count:
        yield_now()
    yield_now()
