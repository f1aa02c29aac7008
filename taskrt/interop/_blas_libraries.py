"""The linear algebra and OpenMP libraries that this process has loaded."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OpenBlas", "OpenMp", "Other", "find_loaded"]

_PREFIXES = ("scipy_", "")
_SUFFIXES = ("64_", "_64", "")
_OPENMP = re.compile(r"lib(gomp|iomp5|omp)\b")
_NOLOAD = getattr(os, "RTLD_NOLOAD", 0)

# Of what the runtime can hand out to jobs, see sched/gang.h.
_NUMBERS = 64
_NUMBERS_WANTED = 32


class _Functions:
    """The functions of a library by their plain names, whatever they are called in it.

    Wheels put ``scipy_`` before the names and ``64_`` after them, or do not.
    """

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path, mode=_NOLOAD | os.RTLD_LAZY)

    def find(self, name: str) -> Any:
        for prefix, suffix in itertools.product(_PREFIXES, _SUFFIXES):
            function = getattr(self._library, f"{prefix}{name}{suffix}", None)
            if function is not None:
                return function
        return None

    def address(self, name: str) -> int:
        return ctypes.cast(self.find(name), ctypes.c_void_p).value or 0

    def variable(self, name: str) -> int | None:
        try:
            return ctypes.c_int.in_dll(self._library, name).value
        except ValueError:
            return None


@dataclass(frozen=True)
class OpenBlas:
    """An OpenBLAS, and whether it can be steered."""

    path: str
    version: str
    # Why not, or "".
    reason: str
    # Addresses of the functions that set its callback and set and tell its number of
    # threads; then where the numbers of jobs begin that are left to us, and how many.
    steering: tuple[int, int, int, int, int]
    functions: _Functions

    def threads(self) -> int:
        return int(self.functions.find("openblas_get_num_threads")())


@dataclass(frozen=True)
class OpenMp:
    """An OpenMP runtime, whose number of threads belongs to each thread."""

    path: str
    # Addresses of omp_set_num_threads and omp_get_max_threads.
    limiting: tuple[int, int]
    functions: _Functions

    def threads(self) -> int:
        return int(self.functions.find("omp_get_max_threads")())


@dataclass(frozen=True)
class Other:
    """A library that has threads of its own and cannot be given others."""

    path: str
    name: str


def _inspect_openblas(path: str, functions: _Functions) -> OpenBlas:
    get_config = functions.find("openblas_get_config")
    get_config.restype = ctypes.c_char_p
    config = get_config().decode("ascii", "replace")
    version = re.search(r"OpenBLAS ([\w.]+)", config)
    room = re.search(r"MAX_THREADS=(\d+)", config)
    own = functions.variable("blas_num_threads")
    first = count = 0
    kind = functions.find("openblas_get_parallel")()
    reason = ""
    if kind == 2:
        reason = "it was built for OpenMP, whose threads cannot be replaced"
    elif kind != 1:
        reason = "it was built without threads"
    elif functions.find("openblas_set_threads_callback_function") is None:
        reason = "it has no threads callback: OpenBLAS 0.3.27 is the first that does"
    elif own is None or room is None or "NO_AFFINITY" not in config:
        reason = "it was built in a way that taskrt does not know"
    else:
        # Its own threads keep the first numbers: LU factorisations use them.
        end = min(int(room[1]), _NUMBERS)
        count = min(max(_NUMBERS_WANTED, own), end - (own - 1))
        first = end - count
        if count < own:
            reason = (
                f"it has started {own} threads and has room for {end} jobs: set "
                f"OPENBLAS_NUM_THREADS to {(end + 1) // 2} or less before the first "
                "import"
            )
    return OpenBlas(
        path,
        version[1] if version else "",
        reason,
        (
            functions.address("openblas_set_threads_callback_function"),
            functions.address("openblas_set_num_threads"),
            functions.address("openblas_get_num_threads"),
            first,
            count,
        ),
        functions,
    )


def _inspect(path: str) -> OpenBlas | OpenMp | Other | None:
    name = Path(path).name.lower()
    if "mkl_rt" in name:
        return Other(path, "MKL")
    if "blis" in name:
        return Other(path, "BLIS")
    if not name.startswith("lib") or not (_OPENMP.search(name) or "blas" in name):
        return None  # an extension module shows what it is linked with
    try:
        functions = _Functions(path)
    except OSError:  # a file that is mapped and not loaded, or was replaced
        return None
    if functions.find("openblas_get_config") and functions.find(
        "openblas_get_parallel"
    ):
        return _inspect_openblas(path, functions)
    if functions.find("omp_set_num_threads") and functions.find("omp_get_max_threads"):
        limiting = (
            functions.address("omp_set_num_threads"),
            functions.address("omp_get_max_threads"),
        )
        return OpenMp(path, limiting, functions)
    return None


def _loaded_paths() -> list[str]:
    maps = Path("/proc/self/maps")
    if maps.is_file():
        lines = maps.read_text("utf-8", "surrogateescape").splitlines()
        fields = (line.split(maxsplit=5) for line in lines)
        paths = {f[5] for f in fields if len(f) == 6 and ".so" in f[5]}
        return sorted(paths)
    try:
        import threadpoolctl
    except ImportError:
        return []
    return sorted(library["filepath"] for library in threadpoolctl.threadpool_info())


def find_loaded() -> list[OpenBlas | OpenMp | Other]:
    """Return what is there, ordered by path."""
    found = [library for path in _loaded_paths() if (library := _inspect(path))]
    if sys.platform == "darwin" and "numpy" in sys.modules and not found:
        found.append(Other("", "Accelerate"))
    return found
