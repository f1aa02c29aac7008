"""Beside gevent: what it has replaced is refused, and where it has not, all works."""

import importlib.util

import pytest
from support.child import run_script

pytestmark = pytest.mark.isolated

needs_gevent = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None, reason="needs gevent"
)

# What replaces threads, be gevent installed or not.
PRETEND = """
    import sys, types
    monkey = types.ModuleType("gevent.monkey")
    monkey.is_module_patched = lambda name: name in {patched!r}
    sys.modules["gevent.monkey"] = monkey
"""
REFUSED = """
    import asyncio
    from taskrt import run_blocking
    from taskrt.interop.aio import from_async

    for call, patched in (
        (lambda: run_blocking(int), "threading"),
        (lambda: from_async(asyncio.sleep(0)), "threading and select"),
    ):
        for _ in range(2):
            try:
                call()
            except RuntimeError as error:
                assert f"gevent has replaced {patched}: call patch_all(" in str(error)
            else:
                raise AssertionError(patched)
"""
WORKS = """
    import asyncio, time
    from taskrt import TaskGroup, fetch, run_blocking, sleep, spawn, spawn_later
    from taskrt.interop.aio import from_async

    assert from_async(asyncio.sleep(0.001, 3)) == 3
    assert fetch(spawn(run_blocking, pow, 2, 3)) == 8
    assert fetch(spawn_later(0.001, pow, 2, 3)) == 8
    with TaskGroup() as group:
        tasks = [group.spawn(sleep, 0.001) for _ in range(10)]
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_replaced_threads_are_refused(threads: str) -> None:
    script = PRETEND.format(patched=["threading", "select"]) + REFUSED
    run_script(script, env={"TASKRT_NUM_THREADS": threads}, options=["-W", "error"])


def test_what_needs_no_replaced_module_works() -> None:
    run_script(PRETEND.format(patched=["socket", "time"]) + WORKS)


@needs_gevent
@pytest.mark.parametrize("threads", ["1", "2"])
def test_threads_replaced_by_gevent_are_refused(threads: str) -> None:
    script = "    from gevent import monkey; monkey.patch_all()\n" + REFUSED
    run_script(script, env={"TASKRT_NUM_THREADS": threads})


@needs_gevent
@pytest.mark.parametrize("threads", ["1", "2"])
def test_patched_but_for_threads_all_works(threads: str) -> None:
    patch = "monkey.patch_all(thread=False, select=False)"
    script = f"    from gevent import monkey; {patch}\n" + WORKS
    run_script(script, env={"TASKRT_NUM_THREADS": threads})


@needs_gevent
@pytest.mark.parametrize("threads", ["1", "2"])
def test_greenlets_of_gevent_may_fetch(threads: str) -> None:
    script = """
        import gevent
        from taskrt import fetch, parallel, sleep, spawn

        def work(n):
            sleep(0.001)
            return sum(parallel.map(abs, range(n)))

        def here(n):
            return fetch(spawn(work, n))

        def aside(n):
            task = spawn(work, n)
            return gevent.get_hub().threadpool.apply(fetch, (task,))

        for handle in (here, aside):
            jobs = [gevent.spawn(handle, n) for n in range(10)]
            gevent.joinall(jobs, raise_error=True)
            assert [job.value for job in jobs] == [sum(range(n)) for n in range(10)]
    """
    run_script(script, env={"TASKRT_NUM_THREADS": threads})
