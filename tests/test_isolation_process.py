"""Blocks of isolated() at the edges of a process; and threads that stand.

A thread stands while it sleeps with stacks that cannot go on: in such a block, or in a
greenlet of the program's own.
"""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from support.child import UNDER_ASAN, Child, Result, run_script

pytestmark = pytest.mark.isolated

at_every_size = pytest.mark.parametrize("threads", "124")


def run(script: str, threads: str, *, expect: int = 0, timeout: float = 15) -> Result:
    return run_script(
        script,
        env={"TASKRT_NUM_THREADS": threads},
        options=["-W", "ignore::DeprecationWarning"],
        expect=expect,
        timeout=timeout,
    )


@at_every_size
@pytest.mark.parametrize("inline", "01")
def test_any_number_of_threads_will_do(threads: str, inline: str) -> None:
    script = """
    import threading
    from taskrt import fetch, fetch_all, isolated, sleep, spawn, wait_all

    def tree(depth):
        tasks = [spawn(tree, depth - 1) for _ in range(3 if depth else 0)]
        sleep(0.0001)
        if depth % 2:
            wait_all(tasks)
        return 1 + sum(map(fetch, tasks))

    def block():
        with isolated():
            assert not hasattr(local, "held")
            local.held = True
            assert fetch(spawn(tree, 3)) == 40
            del local.held

    def outside():
        for _ in range(10):
            assert not hasattr(local, "held")
            sleep(0.0001)

    local = threading.local()
    fetch_all([spawn(block if n % 3 else outside) for n in range(60)])
    with isolated():
        assert fetch(spawn(tree, 5)) == 364
    """
    env = {"TASKRT_NUM_THREADS": threads, "TASKRT_INLINE": inline}
    assert run_script(script, env=env).stderr == ""


@pytest.mark.parametrize("inline", "01")
def test_one_thread_runs_what_is_inside_itself(inline: str) -> None:
    script = """
    import threading
    from taskrt import Event, fetch, isolated, spawn

    before = spawn(threading.get_ident)
    with isolated():
        event, ran = Event(), []

        def inside():
            ran.append(threading.get_ident())
            event.set()

        spawn(inside)
        event.wait()
        assert ran == [threading.get_ident()]
        assert fetch(before) != ran[0]  # by another, while this one waits
    """
    run_script(script, env={"TASKRT_NUM_THREADS": "1", "TASKRT_INLINE": inline})


# How a task comes to stand for ever: a part of a script that defines `stand`.
WAYS = {
    "block": """
def stand(event):
    with isolated():
        event.wait()
""",
    "block in a block": """
def inner(event):
    with isolated():
        event.wait()

def stand(event):
    with isolated():
        fetch(spawn(inner, event))
""",
    "greenlet": """
import greenlet

def stand(event):
    greenlet.greenlet(event.wait).switch()
""",
    "greenlet in a block": """
import greenlet

def stand(event):
    with isolated():
        greenlet.greenlet(event.wait).switch()
""",
}

SCRIPT = """
import os, threading
from taskrt import *

def waits(name):
    try:
        stand(never)
    finally:
        os.write(1, f"{name} is over\\n".encode())

never = Event()
"""

every_way = pytest.mark.parametrize("way", WAYS)


@at_every_size
@every_way
@pytest.mark.parametrize("detached", ["", "detached=True"])
def test_an_exit_cancels_those_who_stand_for_ever(
    threads: str, way: str, detached: str
) -> None:
    script = f"""{WAYS[way]}
def spawn_all():  # on a thread, so that main starts none
    for n in range(5):
        Spawner({detached})(waits, f"task {{n}}")
    sleep(0.01)

thread = threading.Thread(target=spawn_all)
thread.start()
thread.join()
"""
    result = run(SCRIPT + script, threads)
    over = Counter(result.stdout.splitlines())
    every = {f"task {n} is over" for n in range(5)}
    assert set(over) <= every if detached else set(over) == every
    assert set(over.values()) <= {1}
    assert "Error" not in result.stderr


@at_every_size
@every_way
def test_an_exit_cancels_a_task_that_holds_main_up(threads: str, way: str) -> None:
    """Main starts it while it waits, and is told that this never ends."""
    script = f"""{WAYS[way]}
for n in range(3):
    spawn(waits, f"task {{n}}").defuse()
try:
    sleep(0.01)
    Event().wait()
except DeadlockError as error:
    os.write(1, b"refused\\n")
"""
    result = run(SCRIPT + script, threads, expect=0)
    assert "is over" in result.stdout
    assert "Error" not in result.stderr.replace("DeadlockError", "")


@at_every_size
@every_way
def test_shutdown_ends_them(threads: str, way: str) -> None:
    script = f"""{WAYS[way]}
def spawn_all():
    tasks.extend([spawn(waits, f"task {{n}}") for n in range(5)])
    sleep(0.01)

for _ in range(2):
    tasks = []
    thread = threading.Thread(target=spawn_all)
    thread.start()
    thread.join()
    assert shutdown()
    assert all(task.done() for task in tasks)
    assert all(task.cancelled() for task in tasks)
"""
    assert run(SCRIPT + script, threads).stderr == ""


@at_every_size
@every_way
def test_a_wait_for_one_that_never_ends_is_refused(threads: str, way: str) -> None:
    script = f"""{WAYS[way]}
try:
    fetch(spawn(waits, "it"))
except DeadlockError as error:
    assert "would never end" in str(error), error
    os.write(1, b"refused\\n")
"""
    assert "refused\n" in run(SCRIPT + script, threads).stdout


@at_every_size
def test_main_itself_waits_in_vain(threads: str) -> None:
    script = """
try:
    with isolated():
        fetch(spawn(tasks.append, 1))
        never.wait()
except DeadlockError as error:
    os.write(1, b"refused\\n")
"""
    result = run(SCRIPT + "tasks = []" + script, threads)
    assert (result.stdout, result.stderr) == ("refused\n", "")


@at_every_size
def test_a_wait_for_a_stack_of_the_same_thread_is_refused(threads: str) -> None:
    script = """
pinned = Spawner(pinned=True, name="held up")

def body():
    event = Event()
    task = pinned(lambda: (yield_now(), event.set()))
    yield_now()
    with isolated():
        event.wait()

try:
    fetch(spawn(body))
except DeadlockError as error:
    os.write(1, b"refused\\n")
"""
    assert run(SCRIPT + script, threads).stdout == "refused\n"


@at_every_size
def test_a_thread_that_may_end_it_is_hope(threads: str) -> None:
    script = """
def body():
    with isolated():
        never.wait()
    return "it came"

threading.Timer(0.1, never.set).start()
with isolated():
    print(fetch(spawn(body)))
    event = Event()
    threading.Timer(0.1, event.set).start()
    event.wait()
sleep(0.01)
print("and again")
"""
    result = run(SCRIPT + script, threads)
    assert (result.stdout, result.stderr) == ("it came\nand again\n", "")


@at_every_size
@pytest.mark.parametrize("where", ["root", "guest", "busy guest", "worker"])
def test_ctrl_c_reaches_main(threads: str, where: str) -> None:
    script = """
import os, sys, threading, time
from taskrt import *

def waits():
    with isolated():
        os.write(1, b"ready\\n")
        if where == "busy guest":
            end = time.monotonic() + 50
            while time.monotonic() < end:
                pass
        event.wait()

where, event = sys.argv[1], Event()
threading.Thread(target=time.sleep, args=[100], daemon=True).start()  # it is hope
try:
    if where == "root":
        waits()
    elif where == "worker":
        thread = threading.Thread(target=lambda: (spawn(waits), sleep(0.01)))
        thread.start()
        thread.join()
        event.wait()
    else:
        Spawner(pinned=True)(waits)
        event.wait()
except KeyboardInterrupt:
    os.write(1, b"interrupted\\n")
    if where != "busy guest":  # it would go on
        sleep(0.01)
    raise
"""
    with Child(script, where, env={"TASKRT_NUM_THREADS": threads}) as child:
        child.wait_for_line("ready")
        child.send_signal(signal.SIGINT)
        result = child.finish(expect=None)
    assert result.returncode in (130, -signal.SIGINT), result
    assert "interrupted" in result.stdout


@at_every_size
def test_ctrl_c_goes_before_a_block_that_is_entered_after_it(threads: str) -> None:
    script = """
import greenlet, signal

def guest():
    # Where it comes, the stack cannot be left.
    greenlet.greenlet(lambda: os.kill(os.getpid(), signal.SIGINT)).switch()
    with isolated():
        never.wait()

try:
    Spawner(pinned=True)(guest)
    never.wait()
except KeyboardInterrupt:
    os.write(1, b"interrupted\\n")
    os._exit(0)
"""
    assert run(SCRIPT + script, threads).stdout == "interrupted\n"


@at_every_size
def test_shutdown_does_not_wait_longer_than_it_is_to(threads: str) -> None:
    script = """
def guest():
    with isolated():
        try:
            sleep(50)
        finally:
            os.write(1, b"cancelled\\n")

Spawner(pinned=True)(guest)
assert shutdown(timeout=0.1)
"""
    assert run(SCRIPT + script, threads).stdout == "cancelled\n"


@pytest.mark.parametrize(
    "way", ["event.wait()", "greenlet.greenlet(event.wait).switch()"]
)
def test_stacks_of_threads_that_are_one_too_many_are_no_hope(way: str) -> None:
    script = f"""
import greenlet

def waits(event):
    ready.release()
    {way}

ready = Semaphore(0)
thread = threading.Thread(target=lambda: [spawn(waits, never) for _ in range(8)])
thread.start()
thread.join()
for _ in range(8):
    ready.acquire()
set_num_threads(2)
try:
    never.wait()
except DeadlockError:
    os.write(1, b"refused\\n")
"""
    assert "refused\n" in run(SCRIPT + script, "4").stdout


@at_every_size
def test_a_block_without_work_costs_nothing(threads: str) -> None:
    script = """
import time

def waits():
    with isolated():
        never.wait()

def body():
    tasks = [spawn(waits) for _ in range(5)]
    sleep(0.1)
    began = time.process_time()
    sleep(0.5)
    spent.append(time.process_time() - began)
    never.set()
    fetch_all(tasks)

spent = []
thread = threading.Thread(target=body)
thread.start()
thread.join()
assert spent[0] < 0.1, spent
"""
    run(SCRIPT + script, threads)


@pytest.mark.skipif(UNDER_ASAN, reason="forks beside other threads, see child.py")
@at_every_size
def test_a_forked_child_is_in_no_block(threads: str) -> None:
    script = """
def forks():
    with isolated():
        tasks = [spawn(int) for _ in range(10)]
        pid = os.fork()
        if not pid:
            assert fetch(spawn(int)) == 0
            with isolated():
                fetch_all([spawn(int) for _ in range(10)])
    if not pid:
        order = []
        fetch_all([Spawner(pinned=True)(order.append, n) for n in range(3)])
        assert order == [0, 1, 2]
        os._exit(7)
    fetch_all(tasks)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

forks()
fetch(spawn(forks))
os.write(1, b"all is well\\n")
"""
    assert run(SCRIPT + script, threads).stdout == "all is well\n"


@at_every_size
def test_the_number_of_threads_may_change_meanwhile(threads: str) -> None:
    script = """
def block():
    with isolated():
        sleep(0.001)
        return fetch(spawn(int, 1))

def body():
    return sum(fetch_all([spawn(block) for _ in range(10)]))

for n in (1, 4, 2, 3, 1, 2):
    tasks = [spawn(body) for _ in range(5)]
    set_num_threads(n)
    assert sum(fetch_all(tasks)) == 50
"""
    assert run(SCRIPT + script, threads).stderr == ""


@at_every_size
def test_an_event_loop_and_blocks(threads: str) -> None:
    script = """
import asyncio

def block(n):
    with isolated():
        return fetch(spawn(int, n)) + fetch(spawn(lambda: (sleep(0.001), 1)[1]))

async def main():
    with isolated():
        assert await spawn(block, 3) == 4
    tasks = [spawn(block, n) for n in range(20)]
    pinned = Spawner(pinned=True)(lambda: (sleep(0.001), "pinned")[1])
    with isolated():
        inside = [spawn(block, n) for n in range(5)]
        assert [await task for task in inside] == [1, 2, 3, 4, 5]
    assert [await task for task in tasks] == list(range(1, 21))
    assert await pinned == "pinned"
    with isolated():
        pinned = Spawner(pinned=True)
        assert await pinned(lambda: (sleep(0.001), 1)[1]) == 1
        assert [await pinned(int, n) for n in range(5)] == [0, 1, 2, 3, 4]

import taskrt.interop.aio
asyncio.run(main())
"""
    assert run(SCRIPT + script, threads).stderr == ""
