"""Scripts in processes of their own.

A script that must end by itself:

    result = run_script("print('hello')", env={"TASKRT_NUM_THREADS": "2"})
    assert result.stdout == "hello\n"

One that is talked to while it runs:

    with Child("...; print('ready', flush=True); ...") as child:
        child.wait_for_line("ready")
        child.send_signal(signal.SIGINT)
        result = child.finish(expect=130)

Scripts can import what lies below `tests`. A child that is not done in time has the
stacks of all its threads dumped (by gdb if there is one, and by faulthandler), and is
ended together with all that it started; the test fails with all that the child wrote.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TESTS = Path(__file__).parents[1]

# The allocator of GCC 12's AddressSanitizer takes no care of forks: a child inherits
# its locks as they are at that moment, and hangs if a thread that is just starting or
# freeing something holds one. So there only processes without other threads are forked.
UNDER_ASAN = "libasan" in os.environ.get("LD_PRELOAD", "")


def listen_to_ctrl_c() -> None:
    """Listen to Ctrl-C, also as a background job of a shell, which ignores it.

    Child processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Result:
    """How a child ended; a child that a signal killed has the signal's negative."""

    returncode: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return (
            f"exit code {self.returncode}\n"
            f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        )


class Child:
    """A running script, given as text or as the path of a file."""

    def __init__(
        self,
        script: str | Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        options: Iterable[str] = (),
        timeout: float = 60,
    ) -> None:
        self.timeout = timeout
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *options, *_command(script), *args],
            env={**os.environ, "PYTHONPATH": str(TESTS), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_group()
        self._process.wait()
        self._reader.join(self.timeout)
        self._stderr.close()

    def wait_for_line(self, text: str) -> None:
        """Wait until the child has written a line that is `text` to its stdout."""
        with self._changed:
            self._changed.wait_for(
                lambda: f"{text}\n" in self._lines or self._ended, self.timeout
            )
            if f"{text}\n" in self._lines:
                return
        self._give_up(f"the child never wrote {text!r}")

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the child alone, not to what it started."""
        self._process.send_signal(number)

    def finish(self, *, expect: int | None = 0) -> Result:
        """Wait for the child's end; its exit code must be `expect`, unless None."""
        try:
            self._process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            self._give_up(f"the child was not done after {self.timeout} s")
        # Whoever holds the other end of the pipe now is a grandchild that outlived it.
        self._reader.join(self.timeout)
        if self._reader.is_alive():
            self._give_up("the child ended, but left a process that did not")
        result = self._result()
        if expect is not None and result.returncode != expect:
            raise AssertionError(f"expected exit code {expect}, got {result}")
        return result

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _result(self) -> Result:
        self._stderr.seek(0)
        code = self._process.returncode
        return Result(code, "".join(self._lines), self._stderr.read())

    def _give_up(self, reason: str) -> None:
        native = _native_stacks(self.pid)
        # faulthandler prints the Python stacks of all threads on the way down.
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._end_group()
        self._process.wait()
        self._reader.join(10)
        raise AssertionError(f"{reason}; {self._result()}\n--- native\n{native}")

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def run_script(
    script: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    options: Iterable[str] = (),
    timeout: float = 60,
    expect: int | None = 0,
) -> Result:
    """Run a script to its end; its exit code must be `expect`, unless that is None."""
    with Child(script, *args, env=env, options=options, timeout=timeout) as child:
        return child.finish(expect=expect)


def _command(script: str | Path) -> list[str]:
    if isinstance(script, Path):
        return [str(script)]
    # Without the current directory, where the package may lie without its core.
    return ["-P", "-c", textwrap.dedent(script)]


def _native_stacks(pid: int) -> str:
    """Return the stacks of the process and of all that it has started."""
    gdb = shutil.which("gdb")
    if gdb is None:
        return "no gdb to show them"
    command = [gdb, "-batch", "-nx", "-p", str(pid), "-ex", "thread apply all bt"]
    # A sanitizer that is loaded into the child is not meant for gdb.
    env = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    try:
        text = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, env=env
        ).stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        text = "gdb did not answer\n"
    return f"process {pid}\n{text}" + "".join(map(_native_stacks, _children(pid)))


def _children(pid: int) -> list[int]:
    """Return the processes that any thread of `pid` has started, on Linux."""
    with contextlib.suppress(OSError):
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for listed in lists for child in listed.read_text().split()]
    return []
