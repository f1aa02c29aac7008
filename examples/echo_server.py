"""An echo server with a task for each connection: thousands wait, two threads serve.

A task that waits for its client is suspended: it costs memory, and neither a thread nor
processor time. Programs of this kind need no `async`: `receive` and `send_all` are
plain functions, and so is all that calls them. Clients in a process of their own open
the connections, leave them idle for a second, then send messages over some of them and
check each answer. With --port it serves until Ctrl-C instead; try it with telnet.

    python examples/echo_server.py --connections 10000
    python examples/echo_server.py --port 7007
"""

import contextlib
import socket
import sys

from _echo_load import TALLY, measure, parse

from taskrt import TaskGroup, notify_closing, wait_readable, wait_writable, yield_now


def receive(connection: socket.socket) -> bytes:
    """Return what has come, as soon as something has; nothing at the end."""
    while True:
        try:
            return connection.recv(4096)
        except BlockingIOError:
            wait_readable(connection)


def send_all(connection: socket.socket, data: bytes) -> None:
    """Send `data`, as fast as the other side takes it."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
        except BlockingIOError:
            wait_writable(connection)


def answer(connection: socket.socket) -> None:
    """Send back all that comes, until the client leaves."""
    connection.setblocking(False)
    TALLY.count_connection()
    try:
        with contextlib.suppress(ConnectionError):
            while data := receive(connection):
                send_all(connection, data)
                TALLY.count_message()
                yield_now()  # a client that never pauses must not keep the thread
    finally:
        notify_closing(connection)  # whoever else may wait for it
        connection.close()


def serve(listener: socket.socket, group: TaskGroup) -> None:
    """Accept connections, each for a task of the group, until cancelled."""
    listener.setblocking(False)
    while True:
        try:
            group.spawn(answer, listener.accept()[0])
        except BlockingIOError:
            wait_readable(listener)


def until_interrupted(port: int) -> int:
    """Serve all that come to the port, until Ctrl-C."""
    with socket.create_server(("", port), backlog=1024) as listener:
        print(f"echo_server on port {port}, until Ctrl-C", flush=True)
        with contextlib.suppress(KeyboardInterrupt), TaskGroup() as group:
            serve(listener, group)  # main is a worker: it runs tasks while it waits
    print(f"served {sum(TALLY.connections.values()):,} connections")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Serve, or print what was found; return 1 if an answer was wrong."""
    args = parse(__doc__, argv)
    return (
        measure(serve, args).show()
        if args.port is None
        else until_interrupted(args.port)
    )


if __name__ == "__main__":
    sys.exit(main())
