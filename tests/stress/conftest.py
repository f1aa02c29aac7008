"""What races run under: rounds of few or many steps, and threads that take turns often.

TASKRT_STRESS_STEPS and TASKRT_STRESS_THREADS set what the long runs are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator

import pytest
from support.races import Round, rounds

MANY = int(os.environ.get("TASKRT_STRESS_STEPS", "1000000"))
Resize = Callable[[int], object]


@pytest.fixture
def nervous() -> Iterator[None]:
    """Let threads take turns at the interpreter as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


LONG = [pytest.mark.stress, pytest.mark.timeout(3600)]
SIZES = os.environ.get("TASKRT_STRESS_THREADS", "1,2,8").split(",")


@pytest.fixture(
    params=[
        pytest.param((2, 1500), id="short"),
        *[
            pytest.param((int(size), MANY), id=f"{size} threads", marks=LONG)
            for size in SIZES
        ],
    ]
)
def race(request: pytest.FixtureRequest, set_num_threads: Resize) -> Iterable[Round]:
    """Give rounds of few or many steps together, in a pool of some size."""
    size, steps = request.param
    set_num_threads(size)
    return rounds(steps)
