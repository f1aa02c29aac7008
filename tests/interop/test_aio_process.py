"""The bridge to asyncio and the edges of a process: exit, shutdown, fork, deadlocks."""

from __future__ import annotations

import sys

import pytest
from support.child import UNDER_ASAN, run_script

pytestmark = pytest.mark.isolated

STARTS_NO_THREAD_AT_EXIT = sys.version_info[:2] == (3, 12)

every_size = pytest.mark.parametrize("threads", ["1", "2", "4"])

HEAD = """
import asyncio, os, threading, time
import taskrt
from taskrt import spawn, fetch, wait
from taskrt.interop import aio

def until(condition):
    while not condition():
        taskrt.yield_now() or time.sleep(0.0005)
"""


def run(script: str, threads: str = "2") -> str:
    # DEBUG: the watchdog of the child is no thread that something may come from.
    env = {"TASKRT_NUM_THREADS": threads, "TASKRT_DEBUG": "1"}
    result = run_script(HEAD + script, env=env)
    assert result.stderr == ""
    return result.stdout


def test_import_of_taskrt_leaves_asyncio_alone() -> None:
    result = run_script(
        """
        import sys, taskrt
        assert "asyncio" not in sys.modules
        taskrt.fetch(taskrt.spawn(int))
        assert "asyncio" not in sys.modules
        from taskrt.interop import aio
        import threading
        assert not [t for t in threading.enumerate() if "aio" in t.name]
        assert "trio" not in sys.modules and "uvloop" not in sys.modules
        """
    )
    assert result.stderr == ""


@every_size
def test_exit_waits_for_coroutines_that_tasks_wait_for(threads: str) -> None:
    script = """
async def slow():
    await asyncio.sleep(0.2)
    return await aio.run(lambda: "done")  # which it may still spawn

spawn(lambda: print(aio.from_async(slow()), flush=True))
"""
    if STARTS_NO_THREAD_AT_EXIT:
        script = "aio.from_async(asyncio.sleep(0))\n" + script
    assert run(script, threads) == "done\n"


@pytest.mark.skipif(not STARTS_NO_THREAD_AT_EXIT, reason="there is a thread for it")
def test_coroutine_at_exit_without_a_loop_is_an_error() -> None:
    script = """
def late():
    coroutine = asyncio.sleep(0)
    try:
        aio.from_async(coroutine)
    except RuntimeError as error:
        print(str(error)[:43], flush=True)
        coroutine.close()

spawn(late)
"""
    assert run(script) == "cannot run a coroutine: the process exits, \n"


@every_size
def test_exit_cancels_what_nobody_waits_for(threads: str) -> None:
    script = """
async def forever():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        print("cleaned", flush=True)

async def leave_behind():
    global task
    task = asyncio.create_task(forever())
    await asyncio.sleep(0)

aio.from_async(leave_behind())
"""
    assert run(script, threads) == "cleaned\n"


@every_size
def test_exit_cancels_coroutines_of_detached_tasks(threads: str) -> None:
    script = """
begun = threading.Event()

async def forever():
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        print("cleaned", flush=True)

taskrt.Spawner(detached=True)(lambda: aio.from_async(forever()))
until(begun.is_set)
"""
    assert run(script, threads) == "cleaned\n"


def test_calls_after_the_exit_are_refused() -> None:
    script = """
import atexit

async def give():
    return 1

def late():
    try:
        aio.from_async(give())
    except RuntimeError as error:
        print(error)

atexit.register(late)
assert aio.from_async(give()) == 1
"""
    assert "shutting down" in run(script)


@every_size
def test_shutdown_closes_the_loop_and_the_next_use_starts_another(threads: str) -> None:
    script = """
async def loop():
    return asyncio.get_running_loop()

first = aio.from_async(loop())
assert taskrt.shutdown()
assert first.is_closed()
assert not [t for t in threading.enumerate() if t.name == "taskrt-aio"]
second = fetch(spawn(lambda: aio.from_async(loop())))
assert second is not first and second.is_running()
assert taskrt.shutdown(cancel=True)
assert second.is_closed()
"""
    assert run(script, threads) == ""


def test_shutdown_tells_a_plain_thread_that_waits() -> None:
    script = """
begun = threading.Event()

async def forever():
    begun.set()
    await asyncio.Event().wait()

def body():
    try:
        aio.from_async(forever())
    except RuntimeError as error:
        print(error, flush=True)

thread = threading.Thread(target=body, daemon=True)
thread.start()
begun.wait()
assert taskrt.shutdown(cancel=True, timeout=0.05)
thread.join()
"""
    assert "shutdown()" in run(script)


@every_size
def test_wait_that_never_ends_is_found_beside_an_idle_loop(threads: str) -> None:
    script = """
async def give():
    return 1

import signal

for number in signal.valid_signals():
    if signal.getsignal(number) is None:  # faulthandler's, which gives hope
        signal.signal(number, signal.SIG_DFL)

def stuck():
    taskrt.Event().wait()

assert aio.from_async(give()) == 1
try:
    fetch(spawn(stuck))
except taskrt.DeadlockError:
    print("found")
"""
    assert run(script, threads) == "found\n"


@every_size
def test_coroutines_give_hope(threads: str) -> None:
    script = """
event = taskrt.Event()

async def set_later():
    await asyncio.sleep(0.1)
    event.set()

async def leave_behind():
    global task
    task = asyncio.create_task(set_later())

aio.from_async(leave_behind())
event.wait()
other = taskrt.Event()
waiting = spawn(other.wait)

async def set_other():
    await asyncio.sleep(0.1)
    other.set()

spawn(lambda: aio.from_async(set_other()))
assert fetch(waiting)
"""
    assert run(script, threads) == ""


@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
@every_size
def test_forked_child_starts_anew(threads: str) -> None:
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)

async def double(n):
    await asyncio.sleep(0.001)
    return await aio.run(lambda: 2 * n)

pending = spawn(lambda: aio.from_async(asyncio.sleep(0.3, "parent")))
assert aio.from_async(double(2)) == 4
child = os.fork()
if child == 0:
    assert aio.from_async(double(3)) == 6

    async def lost():
        try:
            await pending
        except taskrt.TaskLostError:
            return "lost"

    assert asyncio.run(lost()) == "lost"
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert fetch(pending) == "parent"
assert aio.from_async(double(4)) == 8
"""
    assert run(script, threads) == ""


def test_ctrl_c_cancels_the_coroutine_that_main_waits_for() -> None:
    script = """
import signal
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

async def forever():
    try:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0.01)
        print("cleaned", flush=True)

try:
    aio.from_async(forever())
except KeyboardInterrupt:
    print("interrupted")
"""
    assert run(script) == "cleaned\ninterrupted\n"


@pytest.mark.parametrize("where", ["_acquire_restore", "_release_save"])
def test_an_interrupt_of_the_start_of_the_loop_is_raised(where: str) -> None:
    """And the next call starts a loop anew; the first one is closed."""
    script = """
import gc
from support.interrupts import Interrupt, interrupt_start

async def double(n):
    return 2 * n

call = double(3)
interrupt_start("WHERE")
try:
    aio.from_async(call)
except Interrupt:
    print("interrupted")
call.close()
while threading.active_count() > 1:
    time.sleep(0.001)
gc.collect()
assert aio.from_async(double(4)) == 8
""".replace("WHERE", where)
    assert run(script) == "interrupted\n"


def test_without_the_gil_uvloop_is_left_alone() -> None:
    script = """
import sys

async def kind():
    return type(asyncio.get_running_loop()).__module__

is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
before = is_gil_enabled()
found = aio.from_async(kind())
assert is_gil_enabled() == before
try:
    import importlib.util
    has_uvloop = importlib.util.find_spec("uvloop") is not None
except ImportError:
    has_uvloop = False
assert (found == "uvloop") == (before and has_uvloop), found
"""
    assert run(script) == ""
