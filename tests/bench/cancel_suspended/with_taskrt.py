"""Tasks that wait for what never comes, and are cancelled; on one worker."""

from time import perf_counter

from _measure import WrongAnswerError

from taskrt import Event, TaskGroup, spawn, wait, yield_now

cleaned_up = 0


def body(never: Event) -> None:
    """Wait, and count the clean-up; on one worker that needs no lock."""
    global cleaned_up
    try:
        never.wait()
    finally:
        cleaned_up += 1


def by_task(count: int) -> float:
    """Return how long it takes to cancel so many tasks one by one."""
    never = Event()
    tasks = [spawn(body, never) for _ in range(count)]
    suspend_all()
    start = perf_counter()
    for task in tasks:
        task.cancel()
    wait(*tasks)
    seconds = perf_counter() - start
    check(count, sum(task.cancelled() for task in tasks))
    return seconds


def by_group(count: int) -> float:
    """Return how long it takes to cancel the scope of a group with so many children."""
    never = Event()
    with TaskGroup() as group:
        tasks = [group.spawn(body, never) for _ in range(count)]
        suspend_all()
        start = perf_counter()
        group.cancel()
    seconds = perf_counter() - start
    check(count, sum(task.cancelled() for task in tasks))
    return seconds


def suspend_all() -> None:
    """Let every task start and suspend."""
    while yield_now():
        pass


def check(count: int, cancelled: int) -> None:
    """See that every task was cancelled and has cleaned up."""
    if (cancelled, cleaned_up) != (count, count):
        raise WrongAnswerError(f"{cancelled} cancelled, {cleaned_up} clean of {count}")
