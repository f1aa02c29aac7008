"""What surrounds a loop holds in it: limits, and random numbers that repeat."""

from __future__ import annotations

import pytest
from support.child import run_script
from support.gauge import Gauge

import taskrt
from taskrt import RandomStreams, fetch, limit, parallel, random, seed_random, spawn


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("schedule", ["auto", "static", "greedy"])
def test_a_loop_obeys_the_limit_around_it(n: int, schedule: str) -> None:
    before = taskrt.num_threads()
    taskrt.set_num_threads(4)
    try:
        gauge = Gauge()
        with limit(n):
            parallel.for_each(
                lambda _: gauge.work(0.0002),
                range(60),
                grain=1,
                schedule=schedule,  # type: ignore[arg-type]
            )
            gauge.work()
        assert gauge.most <= n
        assert gauge.calls == 61
    finally:
        taskrt.set_num_threads(before)


def test_a_loop_within_a_loop_obeys_the_limit() -> None:
    gauge = Gauge()

    def inner(_: int) -> None:
        parallel.for_each(lambda _: gauge.work(0.0001), range(8), grain=1)

    with limit(2):
        parallel.for_each(inner, range(8), grain=1)
    assert gauge.most <= 2
    assert gauge.calls == 64


def test_a_loop_moves_no_stream_of_its_task() -> None:
    def draw() -> float:
        return random().random()

    def intrude(_: int) -> None:
        draw()
        fetch(spawn(draw))

    seed_random(5)
    before = draw(), fetch(spawn(draw)), draw()
    seed_random(5)
    first = draw()
    parallel.for_each(intrude, range(200), grain=1)
    assert (first, fetch(spawn(draw)), draw()) == before
    with pytest.raises(RuntimeError, match="RandomStreams"):
        parallel.for_each(seed_random, range(10), grain=1)
    seed_random()


@pytest.mark.isolated
def test_streams_by_number_repeat_for_each_number_of_threads() -> None:
    script = """
    import hashlib
    from taskrt import RandomStreams, fetch, parallel, random, seed_random, spawn

    def item(i):
        rng = streams[i]
        return sum(rng.random() for _ in range(rng.randrange(20)))

    seed_random(3)
    streams = RandomStreams()
    numbers = [
        *parallel.map(item, range(3000)),
        *parallel.map(item, range(100), grain=1),
        fetch(spawn(lambda: random().random())),
    ]
    print(hashlib.sha256(repr(numbers).encode()).hexdigest())
    """
    seen = {
        run_script(script, env={"TASKRT_NUM_THREADS": threads}).stdout
        for threads in "124"
    }
    assert len(seen) == 1


def test_each_item_has_its_own_numbers() -> None:
    streams = RandomStreams(1)
    numbers = parallel.map(lambda i: streams[i].random(), range(1000))
    assert numbers == [streams[i].random() for i in range(1000)]
    assert len(set(numbers)) == 1000
