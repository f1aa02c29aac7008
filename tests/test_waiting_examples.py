"""Examples of tasks that wait: no serial run to compare with, but answers to check."""

import contextlib
import importlib
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support.child import Child, Result, run_script
from support.sources import ROOT

from taskrt import Channel, Task, TaskGroup

EXAMPLES = ROOT / "examples"
FEW = ["--connections", "40", "--busy", "7", "--messages", "30", "--idle", "0.01"]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are polled")


def environment(workers: int) -> dict[str, str]:
    return {"TASKRT_NUM_THREADS": str(workers), "PYTHONPATH": str(EXAMPLES)}


def run_example(name: str, *args: str, workers: int = 2) -> Result:
    return run_script(EXAMPLES / f"{name}.py", *args, env=environment(workers))


Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Give a function that imports an example."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))  # for the clients
    return importlib.import_module


# --- echo_server


@on_linux
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_echo_server_answers_all_and_counts_who_did(workers: int) -> None:
    lines = run_example("echo_server", *FEW, workers=workers).stdout.splitlines()
    plural = "s" * (workers > 1)
    assert lines[0] == f"echo_server of 40 connections, {workers} worker{plural}"
    assert "answers     equal" in " ".join(lines)
    text = "\n".join(lines)
    counts = re.findall(r"\| ([\d,]+) connections, ([\d,]+) messages$", text, re.M)
    assert 1 <= len(counts) <= workers
    assert sum(int(connections) for connections, _ in counts) == 40
    assert sum(int(messages) for _, messages in counts) == 40 + 7 * 30


@on_linux
def test_echo_server_takes_no_more_threads_for_more_connections() -> None:
    text = run_example("echo_server", *FEW, workers=2).stdout
    assert re.search(r"^ +threads +2$", text, re.M)


@on_linux
def test_echo_server_fails_if_an_answer_is_wrong(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("echo_server")
    real = example.send_all
    monkeypatch.setattr(
        example, "send_all", lambda c, data: real(c, data.replace(b"3", b"8"))
    )
    assert example.main(FEW) == 1
    assert "DIFFERENT" in capsys.readouterr().out


@on_linux
def test_echo_server_fails_if_its_clients_do(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load("_echo_load"), "CLIENTS", EXAMPLES / "no_such_file.py")
    with pytest.raises(ExceptionGroup) as caught:
        load("echo_server").main(FEW)
    assert "the clients have ended early" in str(caught.value.exceptions)


@on_linux
def test_echo_server_says_how_many_connections_fit(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("_echo_load")
    limits = [(256, 4096)]
    monkeypatch.setattr(example.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(
        example.resource, "setrlimit", lambda _, new: limits.append(new)
    )
    assert example.make_room(100) == 100
    assert limits == [(256, 4096)]
    assert example.make_room(1000) == 1000
    assert limits[-1] == (1064, 4096)
    assert capsys.readouterr().err == ""
    assert example.make_room(10_000) == 4032
    assert limits[-1] == (4096, 4096)
    assert "10,000 connections were asked for" in capsys.readouterr().err


@on_linux
@pytest.mark.parametrize("workers", [1, 2])
def test_echo_server_serves_until_ctrl_c(workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = EXAMPLES / "echo_server.py"
    with (
        contextlib.ExitStack() as stack,
        Child(script, "--port", str(port), env=environment(workers)) as child,
    ):
        child.wait_for_line(f"echo_server on port {port}, until Ctrl-C")
        for n in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.settimeout(30)
            client.sendall(b"%d" % n)
            assert client.recv(10) == b"%d" % n
        child.send_signal(signal.SIGINT)
        result = child.finish()
        assert client.recv(10) == b""
    assert result.stdout.splitlines()[-1] == "served 20 connections"
    assert result.stderr == ""


# --- fetch_first


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_fetch_first_finds_all_answers(workers: int) -> None:
    lines = run_example("fetch_first", "60", workers=workers).stdout.splitlines()
    assert lines[0] == f"fetch_first of 60, {workers} worker{'s' * (workers > 1)}"
    assert len(lines) == 5
    assert lines[-1].split() == ["answers", "equal"]


def test_fetch_first_fails_if_an_answer_is_wrong(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("fetch_first")
    monkeypatch.setattr(example, "ask", lambda *_: -1)
    assert example.main(["3"]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


@pytest.mark.usefixtures("threads")
def test_fetch_first_asks_others_only_when_one_is_slow(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = load("fetch_first")
    example.ASKED.store(0)
    monkeypatch.setattr(example, "PATIENCE", 3600.0)
    assert example.ask_first(9, 3) == 81
    assert example.ASKED.load() == 1

    monkeypatch.setattr(example, "PATIENCE", 0.001)
    draws = iter([0.0])  # the first to be asked is slow, the others are not
    monkeypatch.setattr(example.random, "random", lambda: next(draws, 1.0))
    monkeypatch.setattr(example, "SLOW", 3600.0)
    assert example.ask_first(9, 3) == 81
    assert example.ASKED.load() >= 3


# --- pipeline


@pytest.mark.usefixtures("threads")
def test_pipeline_ends_with_the_error_of_its_first_stage(load: Load) -> None:
    example = load("pipeline")
    contents, tasks = Channel[bytes](2), Channel[Task[bytes]](2)

    def read() -> None:
        contents.put(b"fine")
        raise OSError("the disk is gone")

    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        contents.bind(group.spawn(read))
        tasks.bind(group.spawn(example.start, contents, tasks))
        group.spawn(example.digest, tasks)
    assert "the disk is gone" in str(caught.value.exceptions)


@pytest.mark.usefixtures("threads")
def test_pipeline_of_nothing_has_the_digest_of_nothing(
    load: Load, tmp_path: Path
) -> None:
    example = load("pipeline")
    assert example.pipeline(str(tmp_path)) == example.serial(str(tmp_path))
