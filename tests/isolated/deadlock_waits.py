"""Main waits, in every way there is, for what can never come.

Each case ends with a DeadlockError that says who waits for what, and who has it.
"""

import re
from collections.abc import Callable

from support.gates import pinned, until_suspended

from taskrt import (
    Barrier,
    BoundedSemaphore,
    Channel,
    Condition,
    DeadlockError,
    Event,
    Latch,
    Lock,
    Queue,
    RLock,
    Semaphore,
    Spawner,
    Task,
    TaskGroup,
    Waiter,
    as_completed,
    fetch,
    fetch_all,
    join,
    once,
    race,
    select,
    sleep_op,
    spawn,
    wait,
    wait_all,
    wait_any,
)

left: list[Task[object]] = []  # what the present case has left behind


def leave(name: str, call: Callable[[], object]) -> Task[object]:
    """Have a task of this name wait in `call`."""
    task: Task[object] = Spawner(name=name)(call)
    left.append(task)
    until_suspended(task)
    return task


def messages(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [text for one in error.exceptions for text in messages(one)]
    return [str(error)] if isinstance(error, DeadlockError) else []


def check(name: str, case: Callable[[], object], *patterns: str) -> None:
    try:
        case()
    except (DeadlockError, BaseExceptionGroup) as error:
        found = "\n".join(messages(error))
    else:
        raise AssertionError(f"{name}: no error")
    assert found.startswith("this wait would never end: "), (name, found)
    assert "nothing is left that can run" in found, (name, found)
    for pattern in patterns:
        assert re.search(pattern, found), (name, pattern, found)
    for task in left:
        task.cancel()
    wait(*left)
    left.clear()


# --- main itself waits ----------------------------------------------------------------

MAIN = "end: the main thread waits "


def held_by_a_task(lock: Lock | RLock) -> None:
    def hold() -> None:
        with lock:
            Event().wait()

    leave("keeper", hold)
    lock.acquire()


def held_by_main(lock: Lock) -> None:
    with lock:
        lock.acquire()


def held_by_the_dead(lock: Lock) -> None:
    fetch(pinned(lock.acquire))
    lock.acquire()


def wait_for_a_condition() -> None:
    condition = Condition()
    with condition:
        condition.wait()


def join_a_queue() -> None:
    queue: Queue[int] = Queue()
    queue.put(1)
    queue.join()


for kind in (Lock, RLock):
    check(
        f"{kind.__name__} held by a task",
        lambda kind=kind: held_by_a_task(kind()),  # type: ignore[misc]
        MAIN + rf"for <locked taskrt.{kind.__name__} .*>, which <Task keeper suspended>"
        " has, and nothing",
        "; <Task keeper suspended> waits for <taskrt.Event at .*: unset>",
    )
check(
    "Lock held by main",
    lambda: held_by_main(Lock()),
    MAIN + "for <locked taskrt.Lock .*>, which the main thread has, and",
)
check(
    "Lock of a task that has ended",
    lambda: held_by_the_dead(Lock()),
    MAIN + r"for <locked taskrt.Lock .*>, which Task-\d+ had when it ended, and",
)
check("Event", Event().wait, MAIN + "for <taskrt.Event at .*: unset>, and")
check("Semaphore", Semaphore(0).acquire, MAIN + "for <taskrt.Semaphore at .*value=0>")
check(
    "BoundedSemaphore",
    BoundedSemaphore(0).acquire,
    MAIN + "for <taskrt.BoundedSemaphore at .*value=0/0>",
)
check("Condition", wait_for_a_condition, MAIN + r"for <Condition\(<unlocked .*, 1\)>")
check("Barrier", Barrier(2).wait, MAIN + "for <taskrt.Barrier at .*waiters=1/2>")
check("Latch", Latch(3).wait, MAIN + "for <taskrt.Latch at .*3 to come>")
check("Waiter", Waiter().park, MAIN + "for <taskrt.Waiter at .*: parked>")
check("get", Channel().get, MAIN + "to get from <taskrt.Channel at .*>")
check("put", lambda: Channel().put(1), MAIN + "to put into <taskrt.Channel at .*>")
check("Queue.get", Queue().get, MAIN + "to get from <taskrt.Channel at .*>")
check("Queue.join", join_a_queue, MAIN + "for <taskrt.Queue at .* 1 unfinished, open>")
check(
    "select",
    lambda: select(Channel().get_op(), Event().wait_op(), Channel().put_op(12)),
    MAIN
    + r"for one of \(<get_op\(\) of <.*>>, <wait_op\(\) of <.*>>, <put_op\(12\) of",
)

# --- main waits for tasks -------------------------------------------------------------


def two_that_wait() -> list[Task[object]]:
    return [leave("one", Event().wait), leave("two", Channel().get)]


ONE = "; <Task one suspended> waits for <taskrt.Event at "
TWO = "; <Task two suspended> waits to get from <taskrt.Channel at "
EITHER = "<Task (one|two) suspended>"
BOTH = r"\[<Task one suspended>, <Task two suspended>\], and"

check("fetch", lambda: fetch(two_that_wait()[0]), MAIN + f"for {EITHER}, and", ONE, TWO)
check("wait", lambda: wait(*two_that_wait()), MAIN + f"for {EITHER}, and", ONE, TWO)
check("wait_all", lambda: wait_all(two_that_wait()), MAIN + "for " + BOTH, ONE, TWO)
check("fetch_all", lambda: fetch_all(two_that_wait()), MAIN + "for " + BOTH, ONE, TWO)
check(
    "wait_any", lambda: wait_any(two_that_wait()), MAIN + "for one of " + BOTH, ONE, TWO
)
check(
    "as_completed",
    lambda: list(as_completed(two_that_wait())),
    MAIN + "for one of " + BOTH,
    ONE,
    TWO,
)
check(
    "select of tasks",
    lambda: select(*[task.wait_op() for task in two_that_wait()]),
    MAIN + r"for one of \(<wait_op\(\) of <Task one suspended>>, ",
)

# --- tasks of main, which it may run itself -------------------------------------------

EVENT = "> waits for <taskrt.Event at .*: unset>"


def in_a_group() -> None:
    with TaskGroup() as group:
        group.spawn(Event().wait)
        group.spawn(Event().wait)


def in_a_full_group() -> None:
    with TaskGroup(limit=1) as group:
        group.spawn(Event().wait)
        group.spawn(int)


def philosophers(count: int) -> None:
    """Each has one lock and waits for the next one's, in a ring."""
    forks = [Lock() for _ in range(count)]
    seated = Barrier(count)

    def dine(i: int) -> None:
        with forks[i]:
            seated.wait()
            with forks[(i + 1) % count]:
                pass

    with TaskGroup() as group:
        for i in range(count):
            group.spawn(dine, i)


check("group", in_a_group, EVENT)
check("group with a limit", in_a_full_group, "for <taskrt.Semaphore at .*value=0>")
check("join", lambda: join(Event().wait, Event().wait), EVENT)
check("race", lambda: race(Event().wait, Event().wait), EVENT)
for count in (2, 5):
    check(
        f"{count} philosophers",
        lambda count=count: philosophers(count),  # type: ignore[misc]
        *[
            r"waits for <locked taskrt.Lock object owner=Task-\d+ at .*>, which "
            r"<Task Task-\d+ (suspended|running)> has"
        ]
        * count,
    )


def crowd() -> None:
    fetch([leave("one of many", Event().wait) for _ in range(50)][0])


check("crowd", crowd, "; 43 more tasks wait$")

# --- what is described badly, or is over, does no harm --------------------------------


class Odd:
    def __repr__(self) -> str:
        raise LookupError("in the repr")


class Endless:
    def __repr__(self) -> str:
        return "x" * 10_000


check("odd", lambda: select(Channel().put_op(Odd())), MAIN + "for one of a tuple, and")
check("endless", lambda: select(Channel().put_op(Endless())), "x{200}.{0,100}, and")
check("once", once(Event().wait), EVENT)  # leaves its task behind, so last
assert select(Event().wait_op(), sleep_op(0.001)) == (1, None)
assert fetch(spawn(sum, [1, 2, 3])) == 6
print("all are refused")
