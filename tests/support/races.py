"""Many users of one thing, of whom some give up at any moment.

A round is a number of steps, taken by all who take part at once:

* tasks, plain threads and main, each step in a scope that is cancelled at random;
* tasks that are cancelled themselves, in the middle of whatever they do;
* tasks and plain threads that are patient: nothing ends their steps but success. They
  are what a lost wake-up would hang.

Beside them are servers: they work until they are told that the steps are over. Rounds
are short, since whoever comes next may well set right what went wrong before: at the
end of a round nobody comes.
"""

from __future__ import annotations

import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from support.gates import join, until

import taskrt
from taskrt import AtomicInt, CancelledError, CancelScope, Task, spawn

# The second is how long the step may wait: None for as long as it takes.
Step = Callable[[random.Random, "float | None"], object]
Server = Callable[[], object]

TIMEOUTS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, None, None)
GENERATION = 4  # tasks that are cancelled, at a time
LIFE = 12  # steps of theirs
ROUND = 200  # steps
PATIENT = 20  # of those, by each of the three that are patient


def rounds(steps: int) -> Iterator[Round]:
    """Give as many rounds as take so many steps, with dice of a seed that is printed.

    TASKRT_STRESS_SEED repeats a seed.
    """
    seed = int(os.environ.get("TASKRT_STRESS_SEED", time.time_ns() % 1_000_000))
    print(f"TASKRT_STRESS_SEED={seed}")
    for number in range(-(-steps // ROUND)):
        yield Round(random.Random(f"{seed} {number}"))


class Round:
    """One round; `run` returns when all have ended, and raises their first error."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.left = AtomicInt(ROUND - 3 * PATIENT)
        self.errors: list[BaseException] = []
        self.scopes: list[CancelScope] = [CancelScope() for _ in range(6)]
        self.over = False

    def run(
        self,
        impatient: Sequence[Step],
        patient: Sequence[Step],
        servers: Sequence[Server] = (),
        close: Callable[[], object] = lambda: None,
    ) -> None:
        """Take the steps; each is one of `impatient` or `patient`, in turn.

        Each server is called in a task and in a plain thread, and returns some time
        after `close` was called, which is when no more steps are taken.
        """
        served = [self._task(self._server, server) for server in servers]
        served_outside = [self._thread(self._server, server) for server in servers]
        reaper = self._thread(self._cancel_scopes)
        tasks = [self._task(self._cautious, i, impatient) for i in range(3)]
        tasks += [self._task(self._stubborn, i, patient) for i in range(2)]
        threads = [
            self._thread(self._cautious, 3, impatient),
            self._thread(self._cautious, 4, impatient),
            self._thread(self._stubborn, 2, patient),
            self._thread(self._generations, impatient),
        ]
        self._guard(self._cautious, 5, impatient)
        until(lambda: all(task.done() for task in tasks))
        join(*threads)
        self.over = True
        close()
        until(lambda: all(task.done() for task in served))
        join(reaper, *served_outside)
        if self.errors:
            raise self.errors[0]

    def _guard(self, act: Callable[..., object], *args: object) -> None:
        try:
            act(*args)
        except BaseException as error:
            self.errors.append(error)

    def _task(self, act: Callable[..., object], *args: object) -> Task[None]:
        return spawn(self._guard, act, *args)

    def _thread(self, act: Callable[..., object], *args: object) -> threading.Thread:
        thread = threading.Thread(target=self._guard, args=(act, *args))
        thread.start()
        return thread

    def _new_dice(self, number: int) -> random.Random:
        return random.Random(f"{self.dice.random()} {number}")

    def _take(self) -> bool:
        return not self.errors and self.left.fetch_sub(1) > 0

    def _server(self, server: Server) -> None:
        while server() is not False:
            pass

    def _stubborn(self, number: int, steps: Sequence[Step]) -> None:
        dice = self._new_dice(number)
        for _ in range(PATIENT):
            if self.errors:
                return
            steps[number % len(steps)](dice, None)
            if number < 2 and dice.random() < 0.1:
                taskrt.yield_now()

    def _cautious(self, number: int, steps: Sequence[Step]) -> None:
        dice = self._new_dice(number)
        while self._take():
            with CancelScope() as scope:
                self.scopes[number] = scope
                dice.choice(steps)(dice, dice.choice(TIMEOUTS))
            if dice.random() < 0.05:
                taskrt.yield_now()

    def _cancel_scopes(self) -> None:
        dice = self._new_dice(100)
        while not self.over:
            for scope in dice.sample(self.scopes, 3):
                scope.cancel()
            time.sleep(dice.choice((0, 0, 2e-5)))

    def _mortal(self, seed: float, steps: Sequence[Step]) -> None:
        dice = random.Random(seed)
        for _ in range(LIFE):
            if not self._take():
                return
            dice.choice(steps)(dice, dice.choice(TIMEOUTS))

    def _generations(self, steps: Sequence[Step]) -> None:
        dice = self._new_dice(200)
        while self.left.load() > 0 and not self.errors:
            tasks = [
                spawn(self._mortal, dice.random(), steps) for _ in range(GENERATION)
            ]
            for task in tasks:
                taskrt.wait(task, timeout=dice.choice((0, 1e-5, 1e-4, 1e-3)))
                task.cancel()
            for task in tasks:
                try:
                    task.result()
                except CancelledError:
                    pass


def in_rounds(body: Callable[..., None]) -> Callable[..., None]:
    """Make a test of what is to be done in each round."""

    @functools.wraps(body)
    def test(race: Iterable[Round], **parameters: object) -> None:
        for one in race:
            body(race=one, **parameters)

    return test


class Books:
    """How much has gone in and out; any thread."""

    def __init__(self) -> None:
        self.numbers = AtomicInt()
        self.put, self.got = AtomicInt(), AtomicInt()
        self.put_count, self.got_count = AtomicInt(), AtomicInt()

    def new(self) -> int:
        return self.numbers.fetch_add(1) + 1

    def has_put(self, number: int) -> None:
        self.put.fetch_add(number)
        self.put_count.fetch_add(1)

    def has_got(self, number: int) -> None:
        self.got.fetch_add(number)
        self.got_count.fetch_add(1)

    def check(self) -> None:
        assert self.got_count.load() == self.put_count.load() > 0
        assert self.got.load() == self.put.load()
