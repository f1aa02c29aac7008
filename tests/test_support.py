"""The tools of the tests: hanging children are ended and explained, steps in order."""

import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest
from support.child import Child, run_script
from support.sequencer import SequenceError, Sequencer

HANGS = """
    import threading

    def wait_for_nobody():
        threading.Event().wait()

    print("waiting", flush=True)
    wait_for_nobody()
"""


@pytest.mark.isolated
class TestChild:
    def test_output_and_exit_code_are_reported(self) -> None:
        result = run_script(
            "import sys; print(sys.argv[1]); print('bad', file=sys.stderr); exit(3)",
            "good",
            expect=3,
        )
        assert result.stdout == "good\n"
        assert result.stderr == "bad\n"

    def test_script_may_be_a_file_and_sees_its_environment(
        self, tmp_path: Path
    ) -> None:
        script = tmp_path / "script.py"
        script.write_text("import os; print(os.environ['COLOUR'])")
        assert run_script(script, env={"COLOUR": "green"}).stdout == "green\n"

    def test_unexpected_exit_code_fails_with_the_output(self) -> None:
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            run_script("1 / 0")

    def test_hanging_child_is_ended_with_its_stacks(self) -> None:
        with pytest.raises(AssertionError, match="in wait_for_nobody"):
            run_script(HANGS, timeout=1)

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
    @pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
    def test_stacks_of_a_hanging_grandchild_are_shown(self) -> None:
        script = """
            import os, signal

            if os.fork() == 0:
                signal.pause()
            os.wait()
        """
        two = r"(?s)\nprocess \d+\n.*\n#0 .*\nprocess \d+\n.*\n#0 "
        with pytest.raises(AssertionError, match=two):
            run_script(script, timeout=1)

    def test_line_that_never_comes_fails(self) -> None:
        child = Child("print('one')")
        with child, pytest.raises(AssertionError, match="never wrote 'two'"):
            child.wait_for_line("two")

    def test_signal_reaches_a_running_child(self) -> None:
        script = """
            import signal

            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            print("waiting", flush=True)
            print(signal.sigwait([signal.SIGUSR1]).name)
        """
        with Child(script) as child:
            child.wait_for_line("waiting")
            child.send_signal(signal.SIGUSR1)
            assert child.finish().stdout == "waiting\nSIGUSR1\n"

    def test_grandchild_left_behind_fails(self) -> None:
        script = """
            import os, time
            if os.fork() == 0:
                time.sleep(60)
        """
        with pytest.raises(AssertionError, match="left a process"):
            run_script(script, timeout=2)


class TestSequencer:
    def test_steps_of_many_threads_keep_their_order(self) -> None:
        step = Sequencer()
        order: list[int] = []

        def take(number: int) -> None:
            with step(number):
                order.append(number)

        threads = [threading.Thread(target=take, args=[n]) for n in reversed(range(9))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert order == list(range(9))

    def test_failing_step_ends_the_waiting_of_others(self) -> None:
        step = Sequencer()
        errors: list[BaseException] = []

        def late() -> None:
            try:
                with step(1):
                    pass
            except SequenceError as error:
                errors.append(error)

        thread = threading.Thread(target=late)
        thread.start()
        with pytest.raises(ZeroDivisionError), step(0):
            raise ZeroDivisionError
        thread.join()
        assert "ZeroDivisionError" in str(errors[0])

    def test_step_is_taken_once(self) -> None:
        step = Sequencer()
        with step(0):
            pass
        with pytest.raises(SequenceError, match="step 0 was taken twice"), step(0):
            pass

    def test_turn_that_never_comes_is_an_error(self) -> None:
        step = Sequencer(timeout=0.01)
        with pytest.raises(SequenceError, match="step 0 was not done"), step(1):
            pass
