"""A thread outlives main: what it spawns after the drain is refused, not lost."""

import os
import threading

from taskrt import fetch, spawn

early = spawn(lambda: "early")


def late() -> None:
    threading.main_thread().join()
    try:
        spawn(os.write, 1, b"must not run\n")
    except RuntimeError as error:
        os.write(1, f"refused: {error}\n".encode())
    os.write(1, f"{fetch(early)} result\n".encode())


threading.Thread(target=late).start()
