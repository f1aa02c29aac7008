"""The interactive pool as the process sees it: its threads, its end, forks."""

import textwrap

import pytest
from support.child import UNDER_ASAN, run_script

HEAD = """
import os, threading, time
import taskrt
from taskrt import Event, Spawner, fetch, sleep, spawn, thread_id
interactive = Spawner(pool="interactive")
"""


def run(script: str, threads: str = "2", debug: str = "0") -> str:
    """Run a script after the head in a process of its own; return what it prints."""
    env = {"TASKRT_NUM_THREADS": threads, "TASKRT_DEBUG": debug}
    return run_script(HEAD + textwrap.dedent(script), env=env, timeout=60).stdout


@pytest.mark.isolated
@pytest.mark.parametrize("interactive", [1, 3])
def test_threads_start_with_the_first_task(interactive: int) -> None:
    out = run(
        """
        def look():
            state = taskrt.info()
            names = [
                open(f"/proc/self/task/{n}/comm").read().strip()
                for n in os.listdir("/proc/self/task")
            ]
            named = sum(name.startswith("taskrt-i") for name in names)
            n = taskrt.num_threads("interactive")
            print(state["interactive_threads"], named, n)
        fetch(spawn(look))
        n = taskrt.num_threads("interactive")
        meeting = threading.Barrier(n)
        taskrt.fetch_all([interactive(meeting.wait, 60) for _ in range(n)])
        look()
        print(taskrt.num_threads())
        """,
        threads=f"2,{interactive}",
    )
    n = interactive
    assert out.split("\n")[:3] == [f"0 0 {n}", f"{n} {n} {n}", "2"]


@pytest.mark.isolated
def test_without_interactive_threads_tasks_are_of_the_default_pool() -> None:
    out = run(
        """
        task = interactive(thread_id)
        print(task.pool, fetch(task) >= 0, taskrt.num_threads("interactive"))
        taskrt.set_num_threads(1, "interactive")
        task = interactive(thread_id)
        print(task.pool, fetch(task), taskrt.num_threads("interactive"))
        """,
        threads="2,0",
    )
    assert out == "default True 0\ninteractive -2 1\n"


@pytest.mark.isolated
def test_wrong_setting_is_raised_by_the_first_use() -> None:
    out = run(
        """
        try:
            interactive(abs, 1)
        except ValueError as error:
            print(error)
        """,
        threads="2,x",
    )
    assert "TASKRT_NUM_THREADS='2,x'" in out
    assert "M interactive threads" in out


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "3,2"])
def test_shutdown_runs_tasks_of_both_to_their_end(threads: str) -> None:
    out = run(
        """
        begun = taskrt.AtomicInt()
        def relay(depth):
            begun.fetch_add(1)
            if depth:
                (spawn if depth % 2 else interactive)(relay, depth - 1)
        for round in range(5):
            for _ in range(20):
                interactive(relay, 9)
            assert taskrt.shutdown()
            assert taskrt.info()["interactive_threads"] == 0
            assert begun.load() == 200 * (round + 1), begun.load()
            assert taskrt.stats()["live"] == 0
        print("done")
        """,
        threads=threads,
    )
    assert out == "done\n"


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2"])
def test_exit_drains_both_pools(threads: str) -> None:
    out = run(
        """
        def last():
            sleep(0.01)
            fetch(spawn(print, "default"))
            print("interactive", flush=True)
        interactive(last)
        def waits():
            try:
                Event().wait()
            finally:
                print("cancelled", thread_id(), flush=True)
        detached = Spawner(pool="interactive", detached=True)
        tasks = [interactive(waits), detached(waits)]
        while not all(task.state == "suspended" for task in tasks):
            sleep(0.001)
        """,
        threads=threads,
    )
    assert sorted(out.split("\n")) == [
        *("", "cancelled -2", "cancelled -2", "default", "interactive")
    ]


@pytest.mark.isolated
def test_exit_functions_may_spawn() -> None:
    out = run(
        """
        import atexit
        atexit.register(lambda: print(fetch(interactive(abs, -5))))
        print(fetch(interactive(abs, -4)))
        """
    )
    assert out == "4\n5\n"


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("debug", ["0", "1"])
def test_main_is_told_when_nothing_is_left_in_either_pool(
    threads: str, debug: str
) -> None:
    out = run(
        """
        never = Event()
        tasks = [interactive(never.wait), spawn(never.wait)]
        try:
            fetch(tasks[0])
        except taskrt.DeadlockError as error:
            print(str(error).count("waits"), "would never end" in str(error))
        never.set()
        print(taskrt.fetch_all(tasks))
        """,
        threads=threads,
        debug=debug,
    )
    assert out == "3 True\n[True, True]\n"


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2"])
def test_main_is_not_told_while_the_interactive_pool_works(threads: str) -> None:
    out = run(
        """
        # Main and the default pool have nothing to do for long, again and again.
        gate = Event()
        def slow():
            for _ in range(20):
                time.sleep(0.002)
                sleep(0.001)
            gate.set()
        for _ in range(5):
            gate.clear()
            interactive(slow)
            fetch(spawn(gate.wait))
        print("done")
        """,
        threads=threads,
    )
    assert out == "done\n"


@pytest.mark.isolated
@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_reaches_main_that_waits_for_an_interactive_task(threads: str) -> None:
    out = run(
        """
        import signal
        ended = Event()
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait()
            return "went on"
        begin = Event()
        def begins():
            begin.wait()
            return interrupt()
        task = interactive(begins)
        try:
            begin.set()
            fetch(task)
        except KeyboardInterrupt:
            print("interrupted", task.done())
        ended.set()
        print(fetch(task))
        """,
        threads=threads,
    )
    assert out == "interrupted False\nwent on\n"


@pytest.mark.isolated
@pytest.mark.skipif(UNDER_ASAN, reason="see UNDER_ASAN")
def test_child_of_a_fork_has_pools_of_its_own() -> None:
    out = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        gate = threading.Event()
        held = interactive(gate.wait, 60)
        queued = interactive(abs, -1)
        child = os.fork()
        if child == 0:
            try:
                fetch(queued)
            except taskrt.TaskLostError:
                print("lost", taskrt.info()["interactive_threads"])
            task = interactive(thread_id)
            print(task.pool, fetch(task), flush=True)
            assert taskrt.shutdown()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        gate.set()
        print(fetch(queued), fetch(held))
        """
    )
    assert out == "lost 0\ninteractive -2\n1 True\n"


@pytest.mark.isolated
@pytest.mark.skipif(UNDER_ASAN, reason="see UNDER_ASAN")
def test_interactive_task_may_fork() -> None:
    out = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        def forks():
            child = os.fork()
            if child == 0:
                os._exit(fetch(interactive(abs, -7)) + (thread_id() == 0))
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(fetch(interactive(forks)))
        """
    )
    assert out == "8\n"


@pytest.mark.isolated
def test_memory_of_interactive_tasks_does_not_grow() -> None:
    out = run(
        """
        import resource
        same = Spawner(pool="same")
        def many(count):
            for _ in range(count):
                fetch(same(abs, -1))
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        fetch(interactive(many, 20_000))
        before = peak()
        fetch(interactive(many, 100_000))
        print((peak() - before) * 1024 < 100_000 * 50)
        """
    )
    assert out == "True\n"


@pytest.mark.isolated
def test_idle_interactive_thread_sleeps() -> None:
    out = run(
        """
        thread = fetch(interactive(thread_id))
        def sleeps():
            return taskrt.stats()["workers"][thread]["sleeps"]
        while True:  # until it has fallen asleep for good
            before = sleeps()
            time.sleep(0.05)
            if sleeps() == before:
                break
        for _ in range(1000):
            fetch(spawn(abs, -1))
        print(sleeps() - before)
        """
    )
    assert out == "0\n"
