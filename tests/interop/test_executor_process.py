"""Executors and pools at the edges of a process: Ctrl-C, forks, the exit, threads."""

from __future__ import annotations

import os
import signal

import pytest
from support.child import UNDER_ASAN, Child, run_script

pytestmark = pytest.mark.isolated

THREADS = "124"

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork") or UNDER_ASAN, reason="forks a process with threads"
)


@pytest.mark.parametrize("threads", THREADS)
def test_an_exit_waits_for_what_was_submitted(threads: str) -> None:
    result = run_script(
        """
        import os
        import taskrt
        from taskrt.interop.futures import TaskExecutor

        def call(depth):
            taskrt.sleep(0.0001)
            if depth:
                executor.submit(call, depth - 1)
            os.write(1, b"ended\\n")

        executor = TaskExecutor()
        single = TaskExecutor(1)
        for _ in range(20):
            executor.submit(call, 2)
            single.submit(call, 0)
        executor.map(call, [0] * 20)
        """,
        env={"TASKRT_NUM_THREADS": threads},
    )
    assert result.stdout.count("ended") == 100
    assert result.stderr == ""


@pytest.mark.parametrize("threads", THREADS)
def test_an_exit_terminates_pools(threads: str) -> None:
    result = run_script(
        """
        import itertools
        from taskrt.interop.pool import Pool

        pool = Pool(1)
        results = pool.imap(abs, itertools.count())
        assert next(results) == 0
        print("exits", flush=True)
        """,
        env={"TASKRT_NUM_THREADS": threads},
    )
    assert result.stdout == "exits\n"


def test_nothing_is_submitted_once_tasks_have_ended() -> None:
    result = run_script(
        """
        import atexit

        @atexit.register
        def late():
            try:
                executor.submit(abs, 1)
            except RuntimeError as error:
                print(error)

        from taskrt.interop.futures import TaskExecutor
        executor = TaskExecutor()
        """
    )
    assert result.stdout == ("cannot schedule new futures after interpreter shutdown\n")


@pytest.mark.parametrize("threads", THREADS)
def test_calls_are_made_while_main_blocks_outside_of_taskrt(threads: str) -> None:
    """Main makes no call but such as it waits for."""
    run_script(
        """
        import threading
        from concurrent.futures import FIRST_COMPLETED, wait
        from taskrt.interop.futures import TaskExecutor
        from taskrt.interop.pool import Pool

        event = threading.Event()
        with TaskExecutor() as executor, Pool() as pool:
            executor.submit(event.set)
            assert event.wait(50)
            event.clear()
            pool.apply_async(event.set)
            assert event.wait(50)
            event.clear()

            # More than there are threads, of which none can end before main goes on.
            holds = [executor.submit(event.wait, 50) for _ in range(6)]
            quick = executor.submit(abs, -1)
            assert wait([quick, *holds], 0.05, FIRST_COMPLETED).not_done
            assert executor.submit(abs, -1).result() == 1
            event.set()
            assert quick.result() == 1
            assert all(future.result() for future in holds)
        pool.join()
        """,
        env={"TASKRT_NUM_THREADS": threads},
    )


@pytest.mark.parametrize("threads", THREADS)
def test_threads_are_no_more_than_there_may_be(threads: str) -> None:
    """An executor, a pool and loops, nested three deep in each other."""
    run_script(
        """
        import os, threading
        from taskrt import num_threads, parallel
        from taskrt.interop.futures import TaskExecutor
        from taskrt.interop.pool import Pool

        idents = set()

        def nest(depth):
            idents.add(threading.get_native_id())
            if depth == 0:
                return 1
            kinds = [
                lambda: sum(executor.map(nest, [depth - 1] * 4)),
                lambda: sum(pool.map(nest, [depth - 1] * 4)),
                lambda: sum(f.result() for f in
                            [executor.submit(nest, depth - 1) for _ in range(4)]),
                lambda: sum(parallel.map(nest, [depth - 1] * 4)),
            ]
            return sum(kind() for kind in kinds)

        with TaskExecutor() as executor, Pool() as pool:
            assert nest(3) == 16**3
            assert executor.submit(nest, 3).result() == 16**3
        pool.join()
        assert len(idents) <= num_threads() + 1, idents
        """,
        env={"TASKRT_NUM_THREADS": threads},
    )


@needs_fork
@pytest.mark.parametrize("threads", THREADS)
def test_a_forked_child_begins_anew(threads: str) -> None:
    run_script(
        """
        import os, threading
        import taskrt
        from taskrt.interop.futures import TaskExecutor
        from taskrt.interop.pool import Pool

        begun, may_end = threading.Event(), threading.Event()
        def call():
            begun.set()
            assert may_end.wait(50)
            return "ended"

        executors = [TaskExecutor(), TaskExecutor(1)]
        pool = Pool(2)
        future = executors[1].submit(call)
        assert begun.wait(50)
        pending = [executors[1].submit(abs, n) for n in range(20)]
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for executor in executors:
                    assert executor.submit(pow, 2, 10).result() == 1024
                    assert list(executor.map(abs, range(-9, 0)))[0] == 9
                    executor.shutdown()
                assert pool.map(abs, range(-9, 0))[0] == 9
                try:
                    future.result()
                except taskrt.TaskLostError:
                    code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        may_end.set()
        assert future.result() == "ended"
        assert [f.result() for f in pending] == list(range(20))
        for executor in executors:
            executor.shutdown()
        pool.close()
        pool.join()
        """,
        env={"TASKRT_NUM_THREADS": threads},
    )


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    "wait",
    [
        "holds[0].result()",
        "futures.wait(holds)",
        "list(futures.as_completed(holds))",
        "list(executor.map(call, range(5), chunksize=1))",
        "pool.map(call, range(5), chunksize=1)",
        "next(pool.imap(call, range(5), chunksize=1))",
    ],
)
def test_ctrl_c_ends_a_wait_of_main(wait: str, threads: str) -> None:
    script = f"""
        import threading
        import time
        from concurrent import futures
        import taskrt
        from taskrt.interop.futures import TaskExecutor
        from taskrt.interop.pool import Pool
        from support.child import listen_to_ctrl_c

        listen_to_ctrl_c()
        begun, may_end = threading.Event(), threading.Event()

        def call(_):
            begun.set()
            may_end.wait(50)
            return "ended"

        executor, pool = TaskExecutor(), Pool()
        holds = [executor.submit(call, n) for n in range(3)]
        assert begun.wait(50)

        def parked():
            return taskrt.stats()["workers"][0]["parked"]

        def tell_when_main_waits():
            while parked() == before:
                time.sleep(0.001)
            print("waits", flush=True)

        before = parked()
        teller = threading.Thread(target=tell_when_main_waits)
        teller.start()
        try:
            {wait}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        teller.join()
        may_end.set()
        assert [hold.result() for hold in holds] == ["ended"] * 3
        executor.shutdown()
        pool.terminate()
        pool.join()
        """
    with Child(script, env={"TASKRT_NUM_THREADS": threads}) as child:
        child.wait_for_line("waits")
        child.send_signal(signal.SIGINT)
        result = child.finish()
    assert result.stdout == "waits\ninterrupted\n"
    assert result.stderr == ""


def test_a_shutdown_of_the_runtime_ends_calls_and_then_all_begins_anew() -> None:
    run_script(
        """
        import taskrt
        from taskrt.interop.futures import TaskExecutor

        executor = TaskExecutor()
        for _ in range(3):
            futures = [executor.submit(pow, n, 2) for n in range(50)]
            assert taskrt.shutdown()
            assert [f.result() for f in futures] == [n * n for n in range(50)]
        executor.shutdown()
        """
    )
