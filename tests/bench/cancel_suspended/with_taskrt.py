"""Tasks that wait for what never comes, and are cancelled; on one worker."""

from time import perf_counter, process_time

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


def by_task(count: int) -> tuple[float, float]:
    """Cancel so many tasks one by one; return the time and the processor's."""
    never = Event()
    tasks = [spawn(body, never) for _ in range(count)]
    suspend_all()
    start, cpu = perf_counter(), process_time()
    for task in tasks:
        task.cancel()
    wait(*tasks)
    seconds, busy = perf_counter() - start, process_time() - cpu
    check(count, sum(task.cancelled() for task in tasks))
    return seconds, busy


def by_group(count: int) -> tuple[float, float]:
    """Cancel a group with so many children; return the time and the processor's."""
    never = Event()
    with TaskGroup() as group:
        tasks = [group.spawn(body, never) for _ in range(count)]
        suspend_all()
        start, cpu = perf_counter(), process_time()
        group.cancel()
    seconds, busy = perf_counter() - start, process_time() - cpu
    check(count, sum(task.cancelled() for task in tasks))
    return seconds, busy


def suspend_all() -> None:
    """Let every task start and suspend."""
    while yield_now():
        pass


def check(count: int, cancelled: int) -> None:
    """See that every task was cancelled and has cleaned up."""
    if (cancelled, cleaned_up) != (count, count):
        raise WrongAnswerError(f"{cancelled} cancelled, {cleaned_up} clean of {count}")
