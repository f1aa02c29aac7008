"""What the machine offers and what the environment asks for.

Pure Python and without side effects: nothing here starts a thread or imports the
compiled core, so that sizes can be looked up before the runtime exists.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

MAX_THREADS = 1024
DEFAULT_INTERACTIVE = 1  # Julia's number
MAX_BLOCKING = 65_536


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment variables of taskrt, read and checked."""

    num_threads: int
    interactive_threads: int
    inline: bool
    debug: bool
    closures: bool
    max_blocking: int


def available_cpus(root: str | os.PathLike[str] = "/") -> int:
    """Count the processors that this process may keep busy.

    The least of: the processors the process may run on, the CPU quota of its control
    group and of every group above it (versions 1 and 2, a part of a processor counts
    as one), and Python's own ``-X cpu_count`` or ``PYTHON_CPU_COUNT``.

    Args:
        root: Directory below which ``proc`` and the control groups are looked up.

    Returns:
        A number of at least 1. What cannot be read sets no limit.

    May be called from any thread; never a suspension point.

    >>> available_cpus() >= 1
    True
    """
    limits = [_affinity(), *_python_limits(), *_quotas(os.fspath(root))]
    return max(1, min(limits))


def read_settings(
    environ: Mapping[str, str] | None = None,
    *,
    default_threads: Callable[[], int] = available_cpus,
) -> Settings:
    """Read the ``TASKRT_`` variables.

    Args:
        environ: Where to look; ``os.environ`` if left out.
        default_threads: Called for the number of threads if none is asked for.

    Returns:
        Every setting, with defaults for variables that are unset or empty.

    Raises:
        ValueError: A variable has a value that is not allowed. The message names the
            variable, the value, and what is allowed.

    May be called from any thread; never a suspension point.

    >>> read_settings({"TASKRT_NUM_THREADS": "4,1"}).num_threads
    4
    """
    if environ is None:
        environ = os.environ
    num_threads, interactive_threads = _read_threads(environ, default_threads)
    debug, closures = _read_debug(environ)
    return Settings(
        num_threads=num_threads,
        interactive_threads=interactive_threads,
        inline=_read_switch(environ, "TASKRT_INLINE", default=True),
        debug=debug,
        closures=closures,
        max_blocking=_read_max_blocking(environ),
    )


def _read_threads(
    environ: Mapping[str, str], default_threads: Callable[[], int]
) -> tuple[int, int]:
    name = "TASKRT_NUM_THREADS"
    value = environ.get(name, "").strip()
    if value in {"", "auto"}:
        return min(default_threads(), MAX_THREADS), DEFAULT_INTERACTIVE
    first, comma, second = value.partition(",")
    workers = _parse_count(first)
    interactive = _parse_count(second) if comma else DEFAULT_INTERACTIVE
    if workers is None or interactive is None or workers < 1:
        raise ValueError(
            f"{name}={environ[name]!r} is not allowed: use a number of threads from 1 "
            f"to {MAX_THREADS}, 'N,M' with M interactive threads from 0 to "
            f"{MAX_THREADS}, or 'auto'"
        )
    return workers, interactive


def _read_max_blocking(environ: Mapping[str, str]) -> int:
    name = "TASKRT_MAX_BLOCKING"
    value = environ.get(name, "").strip()
    count = _parse_count(value or "256", MAX_BLOCKING)
    if count is None or count < 1:
        raise ValueError(
            f"{name}={environ[name]!r} is not allowed: use a number of threads from 1 "
            f"to {MAX_BLOCKING}"
        )
    return count


def _read_switch(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = environ.get(name, "").strip()
    if value == "":
        return default
    if value not in {"0", "1"}:
        raise ValueError(f"{name}={environ[name]!r} is not allowed: use 0 or 1")
    return value == "1"


def _read_debug(environ: Mapping[str, str]) -> tuple[bool, bool]:
    """Return whether spawns are noted, and whether closures are looked at too."""
    name = "TASKRT_DEBUG"
    value = environ.get(name, "").strip()
    if value not in {"", "0", "1", "closures"}:
        raise ValueError(
            f"{name}={environ[name]!r} is not allowed: use 0, 1 or closures"
        )
    return value in {"1", "closures"}, value == "closures"


def _parse_count(text: str, most: int = MAX_THREADS) -> int | None:
    """Return a number from 0 to `most`, or None if `text` is anything else.

    Stricter than int(), which takes signs, underscores and every script's digits.
    """
    match = re.fullmatch(r"\s*0*([0-9]{1,9})\s*", text, re.ASCII)
    if match is None or int(match[1]) > most:
        return None
    return int(match[1])


def _affinity() -> int:
    if sys.platform == "linux":
        try:
            return len(os.sched_getaffinity(0))
        except OSError:
            pass
    return os.cpu_count() or 1


def _python_limits() -> Iterator[int]:
    """Yield what Python was told on its command line or in its environment.

    Looked up by hand because os.process_cpu_count(), new in Python 3.13, returns the
    number it was told even if the affinity allows less.
    """
    value: str | bool | None = sys._xoptions.get("cpu_count")
    if value is None and not sys.flags.ignore_environment:
        value = os.environ.get("PYTHON_CPU_COUNT")
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        yield max(1, int(value))


def _quotas(root: str) -> Iterator[int]:
    """Yield the CPU limit of each control group that holds this process."""
    groups = dict(_groups(root))
    for version, mounted_group, mount_point in _group_mounts(root):
        group = groups.get(version)
        if group is None:
            continue
        for directory in _visible_groups(group, mounted_group, mount_point):
            limit = _QUOTA_READERS[version](directory)
            if limit is not None:
                yield limit


def _groups(root: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (version, path in the hierarchy) of the process's groups with a quota."""
    for line in _read_lines(root, "proc/self/cgroup"):
        match line.split(":", 2):
            case ["0", "", path]:
                yield 2, _parts(path)
            case [_, controllers, path] if "cpu" in controllers.split(","):
                yield 1, _parts(path)


def _group_mounts(root: str) -> Iterator[tuple[int, list[str], str]]:
    """Yield (version, group at the mount point, directory) of the hierarchies.

    A line of mountinfo: id, parent, device, group, mount point, options, any number
    of optional fields, "-", type, source, options of the file system.
    """
    for line in _read_lines(root, "proc/self/mountinfo"):
        mount, dash, file_system = line.partition(" - ")
        match mount.split(" "), file_system.split(" "):
            case [_, _, _, group, point, *_], [kind, _, options, *_] if dash:
                directory = os.path.join(root, *_parts(_unescape(point)))
                if kind == "cgroup2":
                    yield 2, _parts(_unescape(group)), directory
                elif kind == "cgroup" and "cpu" in options.split(","):
                    yield 1, _parts(_unescape(group)), directory


def _visible_groups(
    group: list[str], mounted_group: list[str], mount_point: str
) -> Iterator[str]:
    """Yield the directories from the mount point down to `group`.

    A group that lies outside what is mounted, as seen from some containers, leaves
    only the mount point itself.
    """
    directory = mount_point
    yield directory
    depth = len(mounted_group)
    if group[:depth] == mounted_group and ".." not in group:
        for part in group[depth:]:
            directory = os.path.join(directory, part)
            yield directory


def _read_quota_v2(directory: str) -> int | None:
    match "".join(_read_lines(directory, "cpu.max")).split():
        case [quota, period]:
            return _whole_cpus(quota, period)
        case _:
            return None


def _read_quota_v1(directory: str) -> int | None:
    return _whole_cpus(
        "".join(_read_lines(directory, "cpu.cfs_quota_us")),
        "".join(_read_lines(directory, "cpu.cfs_period_us")),
    )


_QUOTA_READERS = {1: _read_quota_v1, 2: _read_quota_v2}


def _whole_cpus(quota: str, period: str) -> int | None:
    """Return quota / period rounded up, or None if this is no limit ("max", -1)."""
    try:
        numerator, denominator = int(quota), int(period)
    except ValueError:
        return None
    if numerator <= 0 or denominator <= 0:
        return None
    return -(-numerator // denominator)


def _read_lines(directory: str, name: str) -> list[str]:
    path = os.path.join(directory, name)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except (OSError, ValueError):
        return []


def _parts(path: str) -> list[str]:
    """Return the names that a path consists of."""
    return [part for part in path.split("/") if part not in {"", "."}]


def _unescape(field: str) -> str:
    """Undo the kernel's octal escapes for blanks and backslashes in a path."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
