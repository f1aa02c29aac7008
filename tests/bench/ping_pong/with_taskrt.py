"""Two tasks on stacks of their own and a rendezvous channel for each direction."""

from itertools import repeat

from _gate import Gate

from taskrt import Channel, fetch, spawn


def run(times: int) -> int:
    """Put an item and get it back so many times; return how often it came."""
    there: Channel[int] = Channel()
    back: Channel[int] = Channel()

    def ping() -> int:
        put, get = there.put, back.get
        count = 0
        for _ in repeat(None, times):
            put(1)
            if get():
                count += 1
        there.close()
        gate.open()
        return count

    def pong() -> None:
        put, get = back.put, there.get
        for _ in repeat(None, times):
            put(get())

    with Gate() as gate:
        tasks = spawn(ping), spawn(pong)
        fetch(gate.task)  # suspends, so neither runs as a call on this stack
        fetch(tasks[1])
        return fetch(tasks[0])
