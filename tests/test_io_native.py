"""Descriptors are looked at while native work keeps the other workers busy."""

from __future__ import annotations

import ctypes
import socket
import time
from collections.abc import Callable

from support.gates import until_suspended
from support.native import pair

from taskrt import fetch, native, spawn, wait, wait_readable

Resize = Callable[[int], object]


def test_main_beside_native_work_hears_of_its_descriptor(
    lib: ctypes.CDLL, set_num_threads: Resize
) -> None:
    set_num_threads(2)
    data = pair(0)
    work = native.spawn(lib.offers_until_told, data)
    while data[1] != 1:
        time.sleep(0.0002)  # main, if it waited for it, might run it
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            theirs.send(b"x")
            assert wait_readable(ours, timeout=20)  # main sleeps for tasks alone
            ours.recv(1)
            task = spawn(wait_readable, ours)  # which only main can run
            wait(work, timeout=0)
            until_suspended(task)
            theirs.send(b"x")
            assert wait(task, timeout=20)
        finally:
            data[0] = 1
    assert fetch(task)
    fetch(work)
