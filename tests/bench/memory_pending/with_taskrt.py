"""Very many tasks at once."""

from _measure import WrongAnswerError, rss_bytes

from taskrt import Task, fetch, spawn


def bytes_each(count: int, arguments: int) -> float:
    """Return how much the process grows per task; each is then run and checked."""
    given = (1, 2)[:arguments]
    tasks: list[Task[int] | None] = [None] * count
    fetch(spawn(count_arguments, *given))
    before = rss_bytes()
    for i in range(count):
        tasks[i] = spawn(count_arguments, *given)
    grown = rss_bytes() - before
    if sum(fetch(task) for task in tasks if task) != count * arguments:
        raise WrongAnswerError("a task was lost")
    return grown / count


def count_arguments(*given: int) -> int:
    """Return how many arguments came."""
    return len(given)
