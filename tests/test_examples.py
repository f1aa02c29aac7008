"""Examples agree with their serial runs at every pool size, and draw what happened."""

import array
import hashlib
import importlib
import itertools
import math
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from types import ModuleType

import pytest
from support.child import Result, run_script
from support.native import compiler
from support.sources import ROOT, shown

from taskrt.native import NativeError

EXAMPLES = ROOT / "examples"
SMALL = {
    "bootstrap": ["600"],
    "fib": ["16", "--cutoff", "8"],
    "grid_search": ["2"],
    "hash_tree": [str(ROOT / "taskrt")],
    "kmeans": ["20000"],
    "mandelbrot": ["100"],
    "monte_carlo": ["10000"],
    "nqueens": ["6"],
    "pipeline": [str(ROOT / "taskrt")],
    "psort": ["100000"],
}
NEEDS = {
    "bootstrap": "sklearn",
    "grid_search": "sklearn",
    "kmeans": "numpy",
    "mandelbrot": "numpy",
    "monte_carlo": "numpy",
    "psort": "numpy",
}
WITHOUT_SERIAL_RUN = {"echo_server", "fetch_first"}  # see test_waiting_examples.py
NATIVE = {
    "equalize": ["300000"],
    "fib": ["20", "--cutoff", "8"],
    "matmul": ["70"],
    "nqueens": ["7"],
    "uts": ["5"],
}

Load = Callable[[str], ModuleType]


def run_example(name: str, *args: str, workers: int = 2, **env: str) -> Result:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    path = os.pathsep.join([str(EXAMPLES), *env.pop("PYTHONPATH", "").split()])
    environment = {"TASKRT_NUM_THREADS": str(workers), "PYTHONPATH": path, **env}
    return run_script(EXAMPLES / f"{name}.py", *args, env=environment)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Give a function that imports an example anew."""
    monkeypatch.syspath_prepend(EXAMPLES)
    for path in EXAMPLES.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    for module in [name for name in sys.modules if name.split(".")[0] == "native"]:
        monkeypatch.delitem(sys.modules, module)
    return importlib.import_module


def test_every_example_is_tested_and_listed() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py") if path.stem[0] != "_"}
    assert names == set(SMALL) | WITHOUT_SERIAL_RUN
    index = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"[`{name}.py`]({name}.py)" in index for name in names)


def test_every_native_example_is_tested_and_listed() -> None:
    folder = EXAMPLES / "native"
    names = {path.stem for path in folder.glob("*.py") if path.stem[0] != "_"}
    assert names == set(NATIVE) == {path.stem for path in folder.glob("*.c")}
    index = (EXAMPLES / "README.md").read_text("utf-8")
    for file in (f"{name}.{suffix}" for name in names for suffix in ("c", "py")):
        assert f"[`{file}`](native/{file})" in index


@pytest.mark.parametrize(
    "path",
    sorted([*EXAMPLES.glob("[!_]*.py"), *EXAMPLES.glob("native/[!_]*.py")]),
    ids=shown,
)
def test_example_is_short(path: Path) -> None:
    lines = path.read_text("utf-8").partition('"""\n')[2].splitlines()
    code = [line for line in lines if line.strip() and '"""' not in line]
    assert len(code) <= 60


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_example_agrees_with_its_serial_run(name: str, workers: int) -> None:
    lines = run_example(name, *SMALL[name], workers=workers).stdout.splitlines()
    assert lines[0].endswith(f", {workers} worker{'s' * (workers > 1)}")
    assert "answers     equal" in " ".join(lines)
    rows = [line.split("|") for line in lines if line.count("|") == 2]
    labels = [row[0].split() for row in rows]
    assert 1 <= len(labels) <= workers
    assert all(word == "worker" and int(i) < workers for word, i in labels)
    assert any(row[1].strip() for row in rows)


@pytest.mark.parametrize("name", SMALL)
def test_example_fails_when_the_answers_differ(
    name: str,
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    example = load(name)
    part = "merge" if name == "psort" else "serial"
    wrong = b"wrong" if name == "hash_tree" else -1
    monkeypatch.setattr(example, part, lambda *_: wrong)
    assert example.main(SMALL[name]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("name", NATIVE)
def test_native_example_agrees_with_its_serial_run(name: str, workers: int) -> None:
    compiler()  # skips where there is none
    env = {"TASKRT_NUM_THREADS": str(workers)}
    result = run_script(EXAMPLES / f"native/{name}.py", *NATIVE[name], env=env)
    first, *lines = result.stdout.splitlines()
    assert first.endswith(f", {workers} worker{'s' * (workers > 1)}")
    assert lines[0].split()[0] == "serial"
    assert lines[1].endswith(" x serial")
    assert lines[-1].split() == ["answers", "equal"]


@pytest.mark.parametrize("name", NATIVE)
def test_native_example_fails_when_the_answers_differ(
    name: str,
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiler()
    example = load(f"native.{name}")
    monkeypatch.setattr(example, "serial", lambda *_: -1)
    if name == "matmul":  # which leaves its answer in an array of zeros
        assert example.main(NATIVE[name]) == 1
    else:
        assert example.measure(NATIVE[name]).equal is False
    assert example.measure(NATIVE[name]).show() == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_native_example_says_that_it_needs_a_compiler() -> None:
    env = {"CC": "no-such-compiler -O2"}
    result = run_script(EXAMPLES / "native/uts.py", env=env, expect=1)
    assert result.stderr == (
        "uts needs a C compiler: no no-such-compiler here. Set CC to one.\n"
    )


@pytest.mark.parametrize("height", [0, 1, 4, 6])
def test_uts_grows_the_trees_that_python_does(load: Load, height: int) -> None:
    compiler()
    example = load("native.uts")
    library = load("native._build").load("uts")
    found = example.uts(library, height)
    assert found == example.serial(library, height) == tree(example.SEED, height)


def tree(seed: int, height: int) -> tuple[int, int, int]:
    """Return nodes, leaves and depth of a tree of UTS, grown by hashlib."""
    level = [hashlib.sha1(bytes(16) + seed.to_bytes(4, "big")).digest()]
    nodes = leaves = depth = 0
    while True:
        drawn = [int.from_bytes(node[16:], "big") & 0x7FFFFFFF for node in level]
        counts = [int(math.log(1 - x / 2**31) / math.log(0.8)) for x in drawn]
        if depth == height:
            counts = [0] * len(level)
        nodes += len(level)
        leaves += counts.count(0)
        if not any(counts):
            return nodes, leaves, depth
        depth += 1
        level = [
            hashlib.sha1(node + place.to_bytes(4, "big")).digest()
            for node, count in zip(level, counts)
            for place in range(count)
        ]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("size", [0, 1, 2, 1000, 3 << 16, 200_003])
def test_native_equalize_spreads_levels(load: Load, size: int) -> None:
    compiler()
    example = load("native.equalize")
    pixels = bytearray(i * i % 101 for i in range(size))
    counts = Counter(pixels)
    seen = itertools.accumulate(counts[level] for level in range(256))
    expected = pixels.translate(bytes(255 * n // max(size, 1) for n in seen))
    example.equalize(load("native._build").load("equalize"), pixels)
    assert pixels == expected


@pytest.mark.parametrize("n", [1, 31, 33, 64, 101])
def test_native_matmul_multiplies(load: Load, n: int) -> None:
    compiler()
    example = load("native.matmul")
    a = array.array("d", (i + k for i in range(n) for k in range(n)))
    b = array.array("d", (k - j for k in range(n) for j in range(n)))
    c = array.array("d", [1]) * (n * n)
    example.matmul(load("native._build").load("matmul"), a, b, c, n)
    for i, j in itertools.product(range(n), repeat=2):
        assert c[i * n + j] == 1 + sum((i + k) * (k - j) for k in range(n))


@pytest.mark.parametrize(("n", "boards"), [(1, 1), (2, 0), (4, 2), (6, 4), (8, 92)])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_native_nqueens_counts_right(
    load: Load, n: int, boards: int, rows: int
) -> None:
    compiler()
    example = load("native.nqueens")
    library = load("native._build").load("nqueens")
    assert example.queens(library, n, min(rows, n)) == boards


@pytest.mark.parametrize(("n", "rows"), [(0, 0), (17, 1), (4, 5), (4, -1)])
def test_native_nqueens_refuses_what_has_no_room(load: Load, n: int, rows: int) -> None:
    compiler()
    example = load("native.nqueens")
    library = load("native._build").load("nqueens")
    with pytest.raises(NativeError, match="the board has 1 to 16 rows"):
        example.queens(library, n, rows)


@pytest.mark.parametrize("name", NEEDS)
def test_example_says_what_to_install(name: str, tmp_path: Path) -> None:
    module = NEEDS[name]
    package = {"numpy": "NumPy", "sklearn": "scikit-learn"}[module]
    missing = f"raise ModuleNotFoundError('No module named {module}', name='{module}')"
    (tmp_path / f"{module}.py").write_text(missing)
    path = os.pathsep.join([str(tmp_path), str(EXAMPLES)])
    env = {"PYTHONPATH": path}
    result = run_script(EXAMPLES / f"{name}.py", "10", env=env, expect=1)
    command = f"python -m pip install {package.lower()}"
    assert result.stderr == f"{name} needs {package}: {command}\n"


def test_mandelbrot_writes_its_picture(tmp_path: Path) -> None:
    image = tmp_path / "set.pgm"
    result = run_example("mandelbrot", "90", "--image", str(image))
    header, _, points = image.read_bytes().partition(b"\n")
    assert header == b"P5 90 80 200"
    assert len(points) == 90 * 80
    assert points[40 * 90 + 70] == 200  # the origin is inside
    assert points[0] < 5
    assert "@" in result.stdout


def test_monte_carlo_is_a_little_above_the_price_of_geometric_means(load: Load) -> None:
    pytest.importorskip("numpy")
    example = load("monte_carlo")
    n, rate, spread = example.DAYS, example.RATE, example.SPREAD
    variance = spread**2 * (n + 1) * (2 * n + 1) / (6 * n * n)
    drift = (rate - spread**2 / 2) * (n + 1) / (2 * n)
    distance = (math.log(example.START / example.STRIKE) + drift) / math.sqrt(variance)
    chance = NormalDist().cdf
    mean = example.START * math.exp(drift + variance / 2)
    gain = mean * chance(distance + math.sqrt(variance))
    closed = math.exp(-rate) * (gain - example.STRIKE * chance(distance))

    price, error = example.interval(*example.monte_carlo(200_000))
    assert 0 < error < 0.05
    assert closed < price < 1.06 * closed
    assert example.interval(2, 4.0, 10.0) == (2.0, 1.96 * math.sqrt(0.5))


@pytest.mark.parametrize("size", [0, 1, 2, 99, 1000])
@pytest.mark.parametrize("grain", [1, 7, 100])
@pytest.mark.parametrize("spread", [1, 3, 1000])
def test_psort_sorts_as_the_stable_sort_does(
    load: Load, size: int, grain: int, spread: int
) -> None:
    np = pytest.importorskip("numpy")
    numbers = np.random.default_rng(size * grain).integers(0, spread, size) / 2
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size)
    numbers = np.where(numbers == 0, 0.0 * signs, numbers)  # zeros of both signs
    numbers[::17] = np.nan
    expected = np.sort(numbers, kind="stable")
    load("psort").psort(numbers, grain)
    # Bit by bit, so that equals out of their order are seen.
    assert numbers.tobytes() == expected.tobytes()


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("outlier", [-1.0, 2.0])
def test_psort_splits_merges_of_very_unequal_parts(
    load: Load, place: int, outlier: float
) -> None:
    np = pytest.importorskip("numpy")
    numbers = np.linspace(0, 1, 20_000)
    numbers[place] = outlier
    expected = np.sort(numbers)
    load("psort").psort(numbers, 10)
    assert numbers.tobytes() == expected.tobytes()


@pytest.mark.parametrize("mid", [0, 1, 3, 50, 97, 99, 100])
def test_psort_merges_runs_of_unequal_length(load: Load, mid: int) -> None:
    np = pytest.importorskip("numpy")
    numbers = np.random.default_rng(mid).random(100)
    expected = np.sort(numbers)
    numbers[:mid].sort()
    numbers[mid:].sort()
    load("psort").merge(numbers, mid, 2)
    assert numbers.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("n", "boards"), [(1, 1), (2, 0), (4, 2), (6, 4), (8, 92)])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nqueens_counts_right(load: Load, n: int, boards: int, rows: int) -> None:
    assert load("nqueens").queens(n, min(rows, n)) == boards


def test_hash_tree_tells_trees_apart(load: Load, tmp_path: Path) -> None:
    example = load("hash_tree")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("one")
    (tmp_path / "link").symlink_to("sub")
    before = example.hash_tree(str(tmp_path))
    assert before == example.serial(str(tmp_path))

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").write_text("left out")
    assert example.hash_tree(str(tmp_path)) == before
    (tmp_path / "sub" / "file").write_text("two")
    assert example.hash_tree(str(tmp_path)) != before
    (tmp_path / "sub" / "file").write_text("one")
    (tmp_path / "sub" / "file").rename(tmp_path / "sub" / "other")
    assert example.hash_tree(str(tmp_path)) != before


def test_picture_shows_who_did_what_when(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("_picture")
    monkeypatch.setattr(module, "num_threads", lambda: 4)
    picture = module.Picture()
    picture.start, picture.end = 0.0, 1.0
    picture.spans += [
        module.Span(0, "sort", 0.0, 0.5, 0.5),
        module.Span(0, "merge", 0.5, 1.0, 0.25),
        module.Span(2, "sort", 0.25, 0.5, 0.25),
        module.Span(-1, "merge", 0.75, 1.0, 0.25),
    ]
    assert picture.draw(8, "#o").splitlines() == [
        "     other |      oo|  25% of a core",
        "  worker 0 |####oooo|  75% of a core",
        "  worker 2 |  ##    |  25% of a core",
        "         2 more workers found nothing to do",
        "            0 s1.000 s   # sort, o merge",
    ]


def test_picture_of_nothing_has_no_rows(load: Load) -> None:
    picture = load("_picture").Picture()
    assert "|" not in picture.draw()
    assert "found nothing to do" in picture.draw()


def test_picture_is_ascii_where_stdout_is(load: Load) -> None:
    module = load("_picture")
    assert module.glyphs_for("utf-8") == module.BLOCKS
    for encoding in ("ascii", "latin-1", "no such encoding", None):
        assert module.glyphs_for(encoding) == module.ASCII
    assert run_example("nqueens", "5", PYTHONIOENCODING="ascii").stdout.isascii()
    assert not run_example("nqueens", "5", PYTHONIOENCODING="utf-8").stdout.isascii()
