"""What echo_server.py is measured with: a process full of clients, and a tally."""

import argparse
import contextlib
import json
import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import IO

from _picture import glyphs_for

from taskrt import TaskGroup, num_threads, sleep, thread_id, wait_readable

CLIENTS = Path(__file__).with_name("_echo_clients.py")
SPARE_DESCRIPTORS = 64  # for what is open besides the connections


class Tally:
    """How much each worker has done.

    A task stays on its thread, and another task of that thread runs only while this one
    waits: so each entry has one writer at a time, and needs no lock.
    """

    def __init__(self) -> None:
        self.connections: Counter[int] = Counter()
        self.messages: Counter[int] = Counter()

    def count_connection(self) -> None:
        """Count one that is served here."""
        self.connections[thread_id()] += 1

    def count_message(self) -> None:
        """Count one that was answered here."""
        self.messages[thread_id()] += 1

    def clear(self) -> None:
        """Begin anew."""
        self.connections.clear()
        self.messages.clear()

    def draw(self, width: int = 36) -> str:
        """Return a bar for each worker, as long as its share of the messages."""
        block = glyphs_for(sys.stdout.encoding)[0]
        most = max(self.messages.values(), default=0) or 1
        rows = []
        for worker in sorted(self.connections):
            bar = block * round(width * self.messages[worker] / most)
            counts = f"{self.connections[worker]:,} connections, "
            counts += f"{self.messages[worker]:,} messages"
            rows.append(f"{f'worker {worker}':>10} |{bar:{width}}| {counts}")
        return "\n".join(rows)


TALLY = Tally()


@dataclass(frozen=True)
class Findings:
    """What was measured: seconds, bytes and counts."""

    connections: int
    connected: float  # seconds until all were, and had their first answer
    memory: int  # bytes that the server has grown by
    threads: int
    idle: float
    idle_cpu: float
    busy: int
    seconds: float  # in which these were busy
    asked: int
    right: int
    picture: str

    def show(self) -> int:
        """Print all of it; return the exit status, 1 if an answer was wrong."""
        count, workers, equal = (
            self.connections,
            num_threads(),
            self.right == self.asked,
        )
        plural = "s" * (workers > 1)
        kib = self.memory / count / 1024
        share, rate = self.idle_cpu / self.idle, self.asked / self.seconds
        lines = {
            "connected": f"{self.connected:9.3f} s",
            "memory": f"{kib:9.1f} KiB a connection",
            "threads": f"{self.threads:9}",
            "idle": f"{self.idle:9.3f} s {share:8.2%} of a core",
            "busy": f"{self.seconds:9.3f} s {rate:8,.0f} messages/s over {self.busy:,}",
            "answers": f"{'equal' if equal else 'DIFFERENT':>9}",
        }
        print(f"echo_server of {count:,} connections, {workers} worker{plural}")
        for what, found in lines.items():
            print(f"{what:>24} {found}")
        print(self.picture)
        return 0 if equal else 1


def parse(about: str | None, argv: list[str] | None) -> argparse.Namespace:
    """Return what the command line says."""
    first_line = (about or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=first_line)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--busy", type=int, default=50, help="of them, that send")
    parser.add_argument("--messages", type=int, default=400, help="over each of these")
    parser.add_argument("--idle", type=float, default=1.0, help="seconds of silence")
    parser.add_argument("--port", type=int, help="serve there until Ctrl-C instead")
    args = parser.parse_args(argv)
    if min(args.connections, args.busy, args.messages) < 1 or not args.idle > 0:
        parser.error("connections, busy, messages and idle must be above 0")
    return args


def make_room(connections: int) -> int:
    """Raise the limit of open descriptors; return how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        fit = max(hard - SPARE_DESCRIPTORS, 1)
        print(
            f"echo_server: {connections:,} connections were asked for, and a process "
            f"may open {hard:,} files here: {fit:,} it is. `ulimit -Hn` has the limit.",
            file=sys.stderr,
        )
        connections, needed = fit, hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return connections


def memory_in_use() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def next_line(pipe: IO[bytes]) -> bytes:
    """Return the next line of another process; only the task waits for it.

    Main is a worker too: while it slept in readline(), its tasks could not go on.
    """
    wait_readable(pipe)
    line = pipe.readline()
    if not line:
        raise RuntimeError("the clients have ended early; see above for why")
    return line


@contextlib.contextmanager
def clients(port: int, *numbers: int) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Run the clients in a process of their own; give what they read, and write."""
    command = [sys.executable, str(CLIENTS), str(port), *map(str, numbers)]
    pipe = subprocess.PIPE
    # In a session of its own it does not get the terminal's Ctrl-C, which is for us.
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, bufsize=0, start_new_session=True
    ) as process:
        try:
            assert process.stdin
            assert process.stdout
            yield process.stdin, process.stdout
        finally:
            process.kill()


def measure(
    serve: Callable[[socket.socket, TaskGroup], None], args: argparse.Namespace
) -> Findings:
    """Have `serve` serve the clients; take the figures."""
    count = make_room(args.connections)
    busy = min(args.busy, count)
    TALLY.clear()
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1024) as listener,
        TaskGroup() as group,
    ):
        door = group.spawn(serve, listener, group)
        port = listener.getsockname()[1]
        memory, start = memory_in_use(), perf_counter()
        with clients(port, count, busy, args.messages) as (questions, answers):
            next_line(answers)
            connected = perf_counter() - start
            memory = memory_in_use() - memory
            threads = len(list(Path("/proc/self/task").iterdir()))
            cpu, start = process_time(), perf_counter()
            sleep(args.idle)
            cpu, idle = process_time() - cpu, perf_counter() - start
            questions.write(b"go\n")
            found = json.loads(next_line(answers))
        door.cancel("no more clients")
    # The group has ended: all clients have left, and each was let go by its task.
    right = found["right"] if sum(TALLY.messages.values()) == found["sent"] else -1
    return Findings(
        connections=count,
        connected=connected,
        memory=memory,
        threads=threads,
        idle=idle,
        idle_cpu=cpu,
        busy=busy,
        seconds=found["seconds"],
        asked=found["asked"],
        right=right,
        picture=TALLY.draw(),
    )
