"""How many processors there are, and what the environment variables may say."""

import os
import sys
from pathlib import Path

import pytest
from support.child import run_script

from taskrt import _config
from taskrt._config import Settings, available_cpus, read_settings

V2_MOUNT = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw"
V1_MOUNT = (
    "33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9"
    " - cgroup cgroup rw,cpu,cpuacct"
)
V1_OTHERS = "34 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
DISK = "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"


@pytest.fixture(autouse=True)
def sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "_affinity", lambda: 16)
    monkeypatch.delenv("PYTHON_CPU_COUNT", raising=False)
    monkeypatch.delitem(sys._xoptions, "cpu_count", raising=False)


def make_root(
    root: Path, *, groups: str, mounts: list[str], files: dict[str, str]
) -> Path:
    """Lay out the files that tell a process of its control groups."""
    process = root / "proc/self"
    process.mkdir(parents=True)
    (process / "cgroup").write_text(groups)
    (process / "mountinfo").write_text("".join(f"{line}\n" for line in mounts))
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


CGROUP_CASES = {
    "v2, own group": (
        "0::/app\n",
        [DISK, V2_MOUNT],
        {"sys/fs/cgroup/app/cpu.max": "300000 100000\n"},
        3,
    ),
    "v2, no limit": (
        "0::/app\n",
        [V2_MOUNT],
        {"sys/fs/cgroup/app/cpu.max": "max 100000\n"},
        16,
    ),
    "v2, part of a processor rounds up": (
        "0::/app\n",
        [V2_MOUNT],
        {"sys/fs/cgroup/app/cpu.max": "210000 100000\n"},
        3,
    ),
    "v2, less than one processor is one": (
        "0::/app\n",
        [V2_MOUNT],
        {"sys/fs/cgroup/app/cpu.max": "1000 100000\n"},
        1,
    ),
    "v2, more than the machine has": (
        "0::/app\n",
        [V2_MOUNT],
        {"sys/fs/cgroup/app/cpu.max": "6400000 100000\n"},
        16,
    ),
    "v2, a group above is tighter": (
        "0::/slice/service/app\n",
        [V2_MOUNT],
        {
            "sys/fs/cgroup/slice/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/slice/service/app/cpu.max": "800000 100000\n",
        },
        2,
    ),
    "v2, the mount point itself": (
        "0::/\n",
        [V2_MOUNT],
        {"sys/fs/cgroup/cpu.max": "400000 100000\n"},
        4,
    ),
    "v2, mounted below the root of the hierarchy": (
        "0::/machine/box/app\n",
        ["30 25 0:26 /machine/box /sys/fs/cgroup rw - cgroup2 cgroup2 rw"],
        {"sys/fs/cgroup/app/cpu.max": "500000 100000\n"},
        5,
    ),
    "v2, own group outside of the mount": (
        "0::/../elsewhere\n",
        [V2_MOUNT],
        {"sys/fs/cgroup/cpu.max": "600000 100000\n"},
        6,
    ),
    "v2, other mount point, with a blank": (
        "0::/app\n",
        [r"30 25 0:26 / /mnt/control\040groups rw - cgroup2 cgroup2 rw"],
        {"mnt/control groups/app/cpu.max": "700000 100000\n"},
        7,
    ),
    "v2, group name with a colon": (
        "0::/app:one\n",
        [V2_MOUNT],
        {"sys/fs/cgroup/app:one/cpu.max": "300000 100000\n"},
        3,
    ),
    "v1, own group": (
        "7:memory:/app\n4:cpu,cpuacct:/app\n",
        [V1_OTHERS, V1_MOUNT],
        {
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
        },
        2,
    ),
    "v1, no limit": (
        "4:cpu,cpuacct:/app\n",
        [V1_MOUNT],
        {
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
        },
        16,
    ),
    "v1, a group above is tighter": (
        "4:cpu,cpuacct:/outer/inner\n",
        [V1_MOUNT],
        {
            "sys/fs/cgroup/cpu,cpuacct/outer/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu,cpuacct/outer/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/outer/inner/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/outer/inner/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "v1, container that sees its group as the mount point": (
        "4:cpu,cpuacct:/docker/box\n",
        [V1_MOUNT.replace(" / /sys", " /docker/box /sys")],
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "50000\n",
        },
        5,
    ),
    "v1, quota of another controller's group is not ours": (
        "4:cpu,cpuacct:/app\n3:cpuset:/app\n",
        ["35 25 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"],
        {
            "sys/fs/cgroup/cpuset/app/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpuset/app/cpu.cfs_period_us": "100000\n",
        },
        16,
    ),
    "hybrid, limit in v1": (
        "4:cpu,cpuacct:/app\n0::/app\n",
        [V1_MOUNT, V2_MOUNT.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")],
        {
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/app/cgroup.procs": "1\n",
        },
        4,
    ),
    "hybrid, limits in both": (
        "4:cpu,cpuacct:/app\n0::/app\n",
        [V1_MOUNT, V2_MOUNT.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")],
        {
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/app/cpu.max": "200000 100000\n",
        },
        2,
    ),
    "not mounted": ("0::/app\n", [DISK], {}, 16),
    "malformed": (
        "\n0::\nnonsense\n4:cpu\n0::/app\n",
        ["", "nonsense", "1 2 - cgroup2", "1 2 3 / /x rw - ", r"\400\000", V2_MOUNT],
        {
            "sys/fs/cgroup/cpu.max": "four of five\n",
            "sys/fs/cgroup/app/cpu.max": "200000\n",
        },
        16,
    ),
    "impossible numbers": (
        "0::/app/inner\n4:cpu,cpuacct:/app\n",
        [V1_MOUNT, V2_MOUNT],
        {
            "sys/fs/cgroup/cpu.max": "200000 0\n",
            "sys/fs/cgroup/app/cpu.max": "-200000 100000\n",
            "sys/fs/cgroup/app/inner/cpu.max": "",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "100000\n",
        },
        16,
    ),
}


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "expected"),
    CGROUP_CASES.values(),
    ids=CGROUP_CASES.keys(),
)
def test_quota_of_every_visible_group_counts(
    tmp_path: Path, groups: str, mounts: list[str], files: dict[str, str], expected: int
) -> None:
    root = make_root(tmp_path, groups=groups, mounts=mounts, files=files)
    assert available_cpus(root) == expected


def test_directory_in_the_place_of_a_file_is_ignored(tmp_path: Path) -> None:
    root = make_root(
        tmp_path,
        groups="0::/app\n",
        mounts=[V2_MOUNT],
        files={"sys/fs/cgroup/cpu.max/x": "", "sys/fs/cgroup/app/cpu.max": "100 50"},
    )
    assert available_cpus(root) == 2


def test_bytes_that_are_no_text_are_ignored(tmp_path: Path) -> None:
    root = make_root(tmp_path, groups="0::/app\n", mounts=[V2_MOUNT], files={})
    limit = tmp_path / "sys/fs/cgroup/app/cpu.max"
    limit.parent.mkdir(parents=True)
    limit.write_bytes(b"\xff\xfe 100000\n")
    assert available_cpus(root) == 16


def test_machine_without_proc_has_no_quota(tmp_path: Path) -> None:
    assert available_cpus(tmp_path) == 16


def test_real_machine_has_a_processor() -> None:
    assert 1 <= available_cpus() <= 16


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4", 4),
        ("16", 16),
        ("64", 16),
        ("default", 16),
        ("", 16),
        ("0", 1),
        ("four", 16),
        ("-3", 16),
    ],
)
def test_python_cpu_count_can_only_lower_the_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, expected: int
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", value)
    assert available_cpus(tmp_path) == expected


@pytest.mark.parametrize(
    ("option", "expected"), [("3", 3), ("default", 16), (True, 16)]
)
def test_command_line_beats_the_environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str | bool,
    expected: int,
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "5")
    monkeypatch.setitem(sys._xoptions, "cpu_count", option)
    assert available_cpus(tmp_path) == expected


@pytest.mark.isolated
@pytest.mark.parametrize(
    ("options", "count", "expected"),
    [
        ([], "1", "1"),
        (["-X", "cpu_count=1"], "default", "1"),
        (["-X", "cpu_count=default"], "1", "many"),
        (["-E"], "1", "many"),
    ],
)
def test_interpreter_options_reach_the_count(
    options: list[str], count: str, expected: str
) -> None:
    script = (
        "import os, sys, taskrt._config as config\n"
        "config._affinity = lambda: 16\n"
        "cpus = config.available_cpus(os.devnull)\n"
        "print('many' if cpus == 16 else cpus)\n"
    )
    result = run_script(
        script, options=[*options, "-P"], env={"PYTHON_CPU_COUNT": count}
    )
    assert result.stdout.strip() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_affinity_of_the_process_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, allowed)


THREAD_CASES = {
    None: (12, 1),
    "": (12, 1),
    "  ": (12, 1),
    "auto": (12, 1),
    " auto ": (12, 1),
    "1": (1, 1),
    "4": (4, 1),
    " 4\n": (4, 1),
    "007": (7, 1),
    "1024": (1024, 1),
    "4,0": (4, 0),
    "4,2": (4, 2),
    " 4 , 2 ": (4, 2),
    "1024,1024": (1024, 1024),
}


@pytest.mark.parametrize(("value", "expected"), THREAD_CASES.items())
def test_thread_count_is_read(value: str | None, expected: tuple[int, int]) -> None:
    environ = {} if value is None else {"TASKRT_NUM_THREADS": value}
    settings = read_settings(environ, default_threads=lambda: 12)
    assert (settings.num_threads, settings.interactive_threads) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("0", "-1", "+2", "two", "2,", ",2", ",", "2,,3", "2,3,4", "1e3", "1_0"),
        *("1.0", "0x4", "1025", "100000", "9" * 5000, "0,1", "4,1025", "4,-1"),
        *("4;2", "4 2", "auto,1", "AUTO", "none", "\u0664", "4,\u0664"),
    ],
)
def test_thread_count_that_is_not_allowed_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="TASKRT_NUM_THREADS") as caught:
        read_settings({"TASKRT_NUM_THREADS": value})
    message = str(caught.value)
    assert repr(value) in message
    assert "from 1 to 1024" in message
    assert "'auto'" in message


def test_default_thread_count_stays_in_range() -> None:
    assert read_settings({}, default_threads=lambda: 4096).num_threads == 1024


@pytest.mark.parametrize(
    ("name", "field", "default", "allowed"),
    [
        ("TASKRT_INLINE", "inline", True, "use 0 or 1"),
        ("TASKRT_DEBUG", "debug", False, "use 0, 1 or closures"),
    ],
)
class TestSwitch:
    @pytest.mark.parametrize(("value", "expected"), [("0", False), (" 1 ", True)])
    def test_value_is_read(
        self,
        name: str,
        field: str,
        default: bool,
        allowed: str,
        value: str,
        expected: bool,
    ) -> None:
        assert getattr(read_settings({name: value}), field) is expected

    @pytest.mark.parametrize("environ_value", [None, "", " "])
    def test_default_holds_if_nothing_is_asked(
        self,
        name: str,
        field: str,
        default: bool,
        allowed: str,
        environ_value: str | None,
    ) -> None:
        environ = {} if environ_value is None else {name: environ_value}
        assert getattr(read_settings(environ), field) is default

    @pytest.mark.parametrize(
        "value", ["2", "00", "true", "yes", "off", "-1", "1,closures"]
    )
    def test_other_value_is_refused(
        self, name: str, field: str, default: bool, allowed: str, value: str
    ) -> None:
        with pytest.raises(ValueError, match=f"{allowed}$") as caught:
            read_settings({name: value})
        assert name in str(caught.value)
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", (False, False)), ("1", (True, False)), (" closures", (True, True))],
)
def test_debugging_of_closures_includes_the_rest(
    value: str, expected: tuple[bool, bool]
) -> None:
    settings = read_settings({"TASKRT_DEBUG": value})
    assert (settings.debug, settings.closures) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, 256), ("", 256), (" ", 256), ("1", 1), (" 007 ", 7), ("65536", 65536)],
)
def test_most_blocking_calls_are_read(value: str | None, expected: int) -> None:
    environ = {} if value is None else {"TASKRT_MAX_BLOCKING": value}
    assert read_settings(environ).max_blocking == expected


@pytest.mark.parametrize("value", ["0", "-1", "65537", "9" * 5000, "1.5", "auto"])
def test_other_number_of_blocking_calls_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 65536") as caught:
        read_settings({"TASKRT_MAX_BLOCKING": value})
    assert "TASKRT_MAX_BLOCKING" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_environment_of_the_process_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TASKRT_NUM_THREADS", "3,1")
    monkeypatch.setenv("TASKRT_INLINE", "0")
    monkeypatch.setenv("TASKRT_DEBUG", "1")
    assert read_settings() == Settings(
        3, 1, inline=False, debug=True, closures=False, max_blocking=256
    )
