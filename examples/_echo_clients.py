"""The clients of echo_server.py: they open connections, and check what comes back.

Started by it as a process of its own, with the port, the number of connections, how
many of them are busy, and how many messages each of these sends. Says "ready" once all
are connected and greeted, waits for a line, and then tells what it has found as JSON.
"""

import json
import socket
import sys
from time import perf_counter

from _echo_load import make_room
from echo_server import receive, send_all

from taskrt import TaskGroup


def ask(connection: socket.socket, client: int, times: int) -> int:
    """Send messages, each after the answer to the last; count the right answers."""
    right = 0
    for number in range(times):
        message = b"message %d of client %d\n" % (number, client)
        send_all(connection, message)
        answer = b""
        while len(answer) < len(message):
            more = receive(connection)
            if not more:
                return right
            answer += more
        right += answer == message
    return right


def ask_all(connections: list[socket.socket], times: int) -> int:
    """Ask over all connections at once; count the right answers."""
    with TaskGroup() as group:
        tasks = [group.spawn(ask, c, n, times) for n, c in enumerate(connections)]
    return sum(task.result() for task in tasks)


def main() -> None:
    """Talk to the server, and to whoever has started this."""
    port, count, busy, times = map(int, sys.argv[1:])
    make_room(count)
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for connection in connections:
        connection.setblocking(False)
    right = ask_all(connections, 1)
    print("ready", flush=True)
    sys.stdin.readline()
    start = perf_counter()
    right += ask_all(connections[:: count // busy][:busy], times)
    seconds = perf_counter() - start
    asked = busy * times
    found = {"asked": asked, "sent": asked + count, "right": right - count}
    print(json.dumps(found | {"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
