"""Ask a second server when the first is slow, and take the answer that comes first.

A server that answers most requests at once and a few of them late makes everybody wait
who needs many answers. So a request that has no answer after a moment goes to another
server too; the first answer wins, and what is left of the others is cancelled. That
makes the slowest answers as rare as two slow servers at once. (J. Dean and L. A.
Barroso, The tail at scale, 2013.) The servers are made up: they sleep.

    python examples/fetch_first.py 2000
"""

import argparse
import random
import sys
from functools import partial
from time import perf_counter

from taskrt import AtomicInt, TaskGroup, fail_after, num_threads, race, sleep

QUICK, SLOW, SLOW_SHARE = 0.004, 0.2, 0.05  # seconds until an answer; of how many
PATIENCE, LIMIT = 0.012, 30.0  # seconds until another is asked; until it has failed
ASKED, ANSWERED = AtomicInt(), AtomicInt()


def ask(number: int, delay: float = 0.0) -> int:
    """Ask a server for the square, after a delay unless somebody has answered."""
    sleep(delay)
    ASKED.fetch_add()
    sleep(SLOW if random.random() < SLOW_SHARE else QUICK)
    ANSWERED.fetch_add()
    return number * number


def ask_first(number: int, servers: int) -> int:
    """Return the first answer; each server is asked a moment after the one before."""
    delays = (place * PATIENCE for place in range(servers))
    with fail_after(LIMIT):
        return race(*(partial(ask, number, delay) for delay in delays))


def run(requests: int, servers: int) -> bool:
    """Make the requests, 50 at once; print how long they take. True: all are right."""

    def timed(number: int) -> tuple[int, float]:
        start = perf_counter()
        return ask_first(number, servers), perf_counter() - start

    ASKED.store(0)
    ANSWERED.store(0)
    with TaskGroup(limit=50) as group:
        tasks = [group.spawn(timed, number) for number in range(requests)]
    took = sorted(task.result()[1] * 1000 for task in tasks)
    print(
        f"{f'the first of {servers}':>24} {took[requests // 2]:9.1f} ms median", end=""
    )
    print(f" {took[requests * 98 // 100]:9.1f} ms for 98 %", end="")
    print(f" {ASKED.load():9,} asked {ASKED.load() - ANSWERED.load():6,} cancelled")
    return all(task.result()[0] == number**2 for number, task in enumerate(tasks))


def main(argv: list[str] | None = None) -> int:
    """Print how long requests take with one server and with more; 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("requests", type=int, nargs="?", default=1000)
    requests = parser.parse_args(argv).requests
    workers = num_threads()
    print(f"fetch_first of {requests:,}, {workers} worker{'s' * (workers > 1)}")
    found = [run(requests, servers) for servers in (1, 2, 3)]
    print(f"{'answers':>24} {'equal' if all(found) else 'DIFFERENT':>9}")
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
