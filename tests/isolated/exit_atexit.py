"""Functions of atexit may spawn and fetch: the runtime still works, on one thread."""

import atexit
import os


def use(name: str) -> None:
    from taskrt import fetch, spawn, wait

    def fib(n: int) -> int:
        return n if n < 2 else fetch(spawn(fib, n - 1)) + fib(n - 2)

    assert wait(spawn(int))
    os.write(1, f"{name} {fib(10)}\n".encode())


atexit.register(use, "before the first use")
use("in main")
atexit.register(use, "after the first use")
