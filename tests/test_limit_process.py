"""limit(n) at the edges of a process, and with each number of threads."""

from __future__ import annotations

import os
import signal

import pytest
from support.child import UNDER_ASAN, Child, run_script

pytestmark = pytest.mark.isolated


@pytest.mark.parametrize("threads", "124")
@pytest.mark.parametrize("inline", "01")
def test_any_number_of_threads_will_do(threads: str, inline: str) -> None:
    run_script(
        """
        from support.gauge import Gauge
        from taskrt import fetch, fetch_all, limit, spawn, sleep

        def tree(depth):
            gauge.work(0.0001)
            tasks = [spawn(tree, depth - 1) for _ in range(3 if depth else 0)]
            sleep(0.0001)
            gauge.work(0.0001)
            return 1 + sum(map(fetch, tasks))

        for n in (1, 2, 3):
            gauge = Gauge()
            with limit(n):
                assert fetch(spawn(tree, 4)) == 121
            assert gauge.most <= n, (gauge.most, n)
        """,
        env={"TASKRT_NUM_THREADS": threads, "TASKRT_INLINE": inline},
    )


@pytest.mark.parametrize("threads", "124")
def test_an_exit_runs_what_waits_for_a_place(threads: str) -> None:
    result = run_script(
        """
        import os
        from taskrt import limit, shutdown, sleep, spawn

        def job():
            sleep(0.0001)
            os.write(1, b"done\\n")

        with limit(1):
            for _ in range(10):
                spawn(job)
            assert shutdown()
            for _ in range(10):
                spawn(job)
        limit(1).__enter__()
        for _ in range(10):
            spawn(job)
        """,
        env={"TASKRT_NUM_THREADS": threads},
    )
    assert result.stdout == "done\n" * 30


@pytest.mark.parametrize("threads", "12")
def test_an_exit_cancels_what_never_gets_a_place(threads: str) -> None:
    result = run_script(
        """
        import os
        import threading
        from taskrt import Event, fetch, limit, spawn, sleep

        def never():
            with limit(1):
                ready.set()
                entered.append([spawn(print, "never") for _ in range(5)])
                go_on.wait()

        def waits():
            try:
                forever.wait()
            finally:
                os.write(1, b"end\\n")

        entered, forever = [], Event()
        ready, go_on = threading.Event(), threading.Event()
        threading.Thread(target=never, daemon=True).start()
        ready.wait()
        with limit(1):
            tasks = [spawn(waits) for _ in range(3)]
            sleep(0.01)
        """,
        env={"TASKRT_NUM_THREADS": threads},
    )
    assert result.stdout == "end\n" * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.parametrize("threads", "1" if UNDER_ASAN else "12")
def test_a_forked_child_has_no_limit(threads: str) -> None:
    run_script(
        """
        import os
        from taskrt import fetch, fetch_all, limit, spawn

        def forks():
            with limit(1):
                tasks = [spawn(int) for _ in range(10)]
                pid = os.fork()
                if not pid:
                    assert fetch(spawn(int)) == 0
                    with limit(2):
                        fetch_all([spawn(int) for _ in range(10)])
            if not pid:
                os._exit(7)
            fetch_all(tasks)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

        forks()
        fetch(spawn(forks))
        """,
        env={"TASKRT_NUM_THREADS": threads},
        options=["-W", "ignore::DeprecationWarning"],
    )


@pytest.mark.parametrize("threads", "12")
def test_ctrl_c_does_not_wait_for_a_place(threads: str) -> None:
    script = """
    import os, threading, time
    from taskrt import fetch, limit, sleep, spawn

    def holds():
        ready.wait()
        with busy:
            os.write(1, b"ready\\n")  # print() holds a lock that Ctrl-C may find taken
            for _ in range(6000):
                time.sleep(0.01)  # no checkpoint: keeps the place; in pieces, since a
                # signal that comes just before a call sleeps through it

    ready, busy = threading.Event(), threading.Lock()
    with limit(1):
        tasks = [spawn(holds) for _ in range(3)]
        ready.set()
        try:
            sleep(0.001)
            fetch(tasks[0])
        except KeyboardInterrupt:
            os.write(1, b"interrupted\\n")
            os._exit(3)
    """
    with Child(script, env={"TASKRT_NUM_THREADS": threads}) as child:
        child.wait_for_line("ready")
        child.send_signal(signal.SIGINT)
        result = child.finish(expect=3)
    assert "interrupted" in result.stdout
