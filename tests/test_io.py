"""`wait_readable`, `wait_writable`: a task waits for a descriptor, not its thread."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.gates import until_suspended

import taskrt
from taskrt import (
    CancelScope,
    Task,
    fetch,
    notify_closing,
    spawn,
    wait,
    wait_readable,
    wait_writable,
)

Resize = Callable[[int], object]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give two ends that do not block."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


Pair = tuple[socket.socket, socket.socket]


@pytest.mark.usefixtures("threads")
class TestAtEverySize:
    def test_task_goes_on_when_something_has_come(self, pair: Pair) -> None:
        def read() -> bytes:
            assert wait_readable(pair[0])
            return pair[0].recv(10)

        task = spawn(read)
        until_suspended(task)
        pair[1].send(b"hello")
        assert fetch(task) == b"hello"

    def test_main_may_wait(self, pair: Pair) -> None:
        task = spawn(pair[1].send, b"x")
        assert wait_readable(pair[0])
        assert fetch(task) == 1

    def test_plain_thread_may_wait(self, pair: Pair) -> None:
        results: list[bool] = []
        thread = threading.Thread(target=lambda: results.append(wait_readable(pair[0])))
        thread.start()
        pair[1].send(b"x")
        thread.join()
        assert results == [True]

    def test_messages_go_back_and_forth(self, pair: Pair) -> None:
        def answer(count: int) -> None:
            for _ in range(count):
                wait_readable(pair[1])
                pair[1].send(pair[1].recv(10))

        def ask(count: int) -> None:
            for n in range(count):
                pair[0].send(b"%d" % n)
                wait_readable(pair[0])
                assert pair[0].recv(10) == b"%d" % n

        tasks = [spawn(answer, 500), spawn(ask, 500)]
        assert [fetch(task) for task in tasks] == [None, None]

    def test_all_that_wait_for_a_descriptor_go_on(self, pair: Pair) -> None:
        tasks = [spawn(wait_readable, pair[0]) for _ in range(20)]
        until_suspended(*tasks)
        pair[1].send(b"x")
        assert [fetch(task) for task in tasks] == [True] * 20

    def test_reader_and_writer_of_one_descriptor(self, pair: Pair) -> None:
        reader = spawn(wait_readable, pair[0])
        until_suspended(reader)
        assert wait_writable(pair[0])
        assert not reader.done()
        pair[1].send(b"x")
        assert fetch(reader)

    def test_other_end_that_closes_is_readable(self, pair: Pair) -> None:
        task = spawn(wait_readable, pair[0])
        until_suspended(task)
        pair[1].close()
        assert fetch(task)
        assert pair[0].recv(10) == b""

    def test_many_that_wait(self) -> None:
        pairs = [socket.socketpair() for _ in range(200)]
        tasks = [spawn(wait_readable, ends[0]) for ends in pairs]
        until_suspended(*tasks)
        for ends in pairs:
            ends[1].send(b"x")
        assert [fetch(task) for task in tasks] == [True] * 200
        for ends in pairs:
            ends[0].close()
            ends[1].close()


def test_full_pipe_is_not_writable() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    assert wait_writable(write_end)
    filled = 0
    while wait_writable(write_end, timeout=0):
        filled += os.write(write_end, bytes(1 << 16))
    task = spawn(wait_writable, write_end)
    until_suspended(task)
    os.read(read_end, filled)
    assert fetch(task)
    os.close(read_end)
    os.close(write_end)


def test_timeout(pair: Pair) -> None:
    assert wait_readable(pair[0], timeout=0) is False
    assert wait_readable(pair[0], 0.001) is False
    pair[1].send(b"x")
    assert wait_readable(pair[0], timeout=0.001) is True


def test_timeout_of_zero_looks(pair: Pair, threads: int) -> None:
    """At the descriptor itself: another worker may have the poller."""
    for _ in range(300):
        assert wait_writable(pair[0], timeout=0) is True
        assert wait_readable(pair[0], timeout=0) is False
    pair[1].send(b"x")
    assert all(wait_readable(pair[0], timeout=0) for _ in range(300))


def test_cancellation(pair: Pair) -> None:
    task = spawn(wait_readable, pair[0])
    until_suspended(task)
    assert task.cancel()
    wait(task)
    assert task.cancelled()
    with CancelScope(deadline=time.monotonic() + 0.001) as scope:
        wait_readable(pair[0])
    assert scope.cancelled_caught
    pair[1].send(b"x")
    assert wait_readable(pair[0])


def test_descriptor_that_is_about_to_be_closed(pair: Pair) -> None:
    tasks: list[Task[bool]] = [spawn(wait_readable, pair[0]) for _ in range(3)]
    until_suspended(*tasks)
    notify_closing(pair[0])
    assert [fetch(task) for task in tasks] == [True] * 3
    notify_closing(pair[0])


def test_number_that_is_used_again_for_another_file(pair: Pair) -> None:
    number = os.dup(pair[0].fileno())
    assert wait_readable(number, timeout=0) is False
    os.close(number)
    read_end, write_end = os.pipe()
    assert number in (read_end, write_end)
    os.write(write_end, b"x")
    assert wait_readable(read_end)
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("ends", ["in vain", "by the notice"])
def test_file_that_lives_on_is_not_taken_for_the_next(pair: Pair, ends: str) -> None:
    """What was asked about the old one is forgotten, however the wait for it ended."""
    number = pair[0].fileno()
    lives_on = os.dup(number)
    reader, writer = os.pipe()
    if ends == "in vain":
        assert not wait_readable(number, 0.001)
        notify_closing(number)
    else:
        task = spawn(wait_readable, number)
        until_suspended(task)
        notify_closing(number)
        assert fetch(task) is True
    os.dup2(reader, number)
    pair[1].send(b"x")
    assert wait_readable(number, 0.01) is False
    os.write(writer, b"y")
    assert wait_readable(number, 10)
    for end in (lives_on, reader, writer):
        os.close(end)


def test_what_cannot_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    with path.open() as file, pytest.raises(PermissionError):
        wait_readable(file)
    with pytest.raises(OSError, match="Bad file descriptor"):
        wait_readable(10**6)
    with pytest.raises(ValueError, match="negative"):
        wait_readable(-1)
    for bad in (None, "file", 1.5):
        with pytest.raises(TypeError):
            wait_readable(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="descriptor"):
        wait_readable()  # type: ignore[call-arg]


def test_what_is_no_descriptor_gets_no_memory() -> None:
    """However large the number is."""
    before = resident_bytes()
    for number in (10**7, 2**31 - 1):
        with pytest.raises(OSError) as caught:
            wait_readable(number, 0.01)
        assert caught.value.errno == errno.EBADF
    assert resident_bytes() - before < 10**8


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def test_yield_looks_at_descriptors(pair: Pair, set_num_threads: Resize) -> None:
    set_num_threads(1)
    task = spawn(wait_readable, pair[0])
    until_suspended(task)
    pair[1].send(b"x")
    while not task.done():  # nobody sleeps
        taskrt.yield_now()
    assert fetch(task)
