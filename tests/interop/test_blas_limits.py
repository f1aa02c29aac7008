"""Libraries that cannot be given other threads: they are limited, and told of."""

from __future__ import annotations

import ctypes.util
from typing import Any

import pytest
from support.child import run_script

from taskrt.interop import _blas_libraries, blas
from taskrt.interop._blas_libraries import OpenBlas, Other


class Functions:
    """What an OpenBLAS might tell of itself."""

    def __init__(self, config: str, own: int | None, kind: int, callback: bool) -> None:
        self.config = config
        self.own = own
        self.kind = kind
        self.callback = callback

    def find(self, name: str) -> Any:
        def get_config() -> bytes:
            return self.config.encode()

        if name == "openblas_set_threads_callback_function" and not self.callback:
            return None
        return {
            "openblas_get_config": get_config,
            "openblas_get_parallel": lambda: self.kind,
            "openblas_get_num_threads": lambda: self.own or 0,
        }.get(name, lambda *_: None)

    def address(self, name: str) -> int:
        return len(name)

    def variable(self, name: str) -> int | None:
        assert name == "blas_num_threads"
        return self.own


def inspect(
    config: str = "OpenBLAS 0.3.30 DYNAMIC_ARCH NO_AFFINITY Haswell MAX_THREADS=64",
    own: int | None = 8,
    kind: int = 1,
    callback: bool = True,
) -> OpenBlas:
    functions: Any = Functions(config, own, kind, callback)
    return _blas_libraries._inspect_openblas("/lib/libopenblas.so.0", functions)


def test_library_of_wheels_can_be_steered() -> None:
    found = inspect()
    assert found.reason == ""
    assert found.version == "0.3.30"


@pytest.mark.parametrize("own", [1, 2, 8, 31, 32])
def test_job_numbers_leave_those_of_its_own_threads_alone(own: int) -> None:
    first, count = inspect(own=own).steering[3:]
    assert first >= own - 1
    assert first + count <= 64
    assert count >= own, "a call may have as many jobs as it has threads"


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("OPENBLAS_NUM_THREADS to 32 or less", {"own": 33}),
        ("OPENBLAS_NUM_THREADS to 32 or less", {"own": 64}),
        ("no threads callback", {"callback": False}),
        ("built for OpenMP", {"kind": 2}),
        ("built without threads", {"kind": 0}),
        ("does not know", {"own": None}),
        ("does not know", {"config": "OpenBLAS 0.3.30 NO_AFFINITY Haswell"}),
        ("does not know", {"config": "OpenBLAS 0.3.30 Haswell MAX_THREADS=64"}),
    ],
)
def test_reason_says_why_it_cannot_be(reason: str, facts: dict[str, Any]) -> None:
    found = inspect(**facts)
    assert reason in found.reason
    told = blas._describe(found, steering=True)
    assert not told.steered
    assert reason in told.reason


@pytest.mark.parametrize("name", ["MKL", "BLIS"])
def test_other_libraries_are_told_of(name: str) -> None:
    told = blas._describe(Other(f"/lib/lib{name}.so", name), steering=True)
    assert (told.kind, told.steered, told.limited) == (name, False, False)
    assert "threadpoolctl" in told.reason


@pytest.mark.isolated
@pytest.mark.skipif(not ctypes.util.find_library("gomp"), reason="there is no libgomp")
def test_openmp_has_one_thread_in_pool_threads_and_gives_it_back() -> None:
    result = run_script(
        """
        import ctypes, threading
        gomp = ctypes.CDLL("libgomp.so.1")
        gomp.omp_set_num_threads(3)
        import taskrt
        from taskrt import spawn, fetch
        from taskrt.interop import blas
        default = []
        t = threading.Thread(target=lambda: default.append(gomp.omp_get_max_threads()))
        t.start(); t.join()
        [default] = default
        barrier = threading.Barrier(3)
        def look():
            barrier.wait(30)   # each of the three threads has one of these
            return taskrt.thread_id(), gomp.omp_get_max_threads()
        def numbers():
            return dict(fetch(t) for t in [spawn(look) for _ in range(3)])
        assert numbers() == {0: 3, 1: default, 2: default}, numbers()
        for _ in range(2):
            with blas.share_pool():
                assert numbers() == {0: 3, 1: 1, 2: 1}, numbers()
                [openmp] = [lib for lib in blas.info() if lib.kind == "OpenMP"]
                assert openmp.limited and openmp.threads == 3 and openmp.reason
            assert numbers() == {0: 3, 1: default, 2: default}, numbers()
        taskrt.shutdown()
        with blas.share_pool():
            assert numbers() == {0: 3, 1: 1, 2: 1}, numbers()
        """,
        env={"TASKRT_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"},
    )
    assert result.stderr == ""
