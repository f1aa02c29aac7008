"""Measure taskrt against its baselines and its peers, and print one table.

    python tests/bench/run.py                    all problems
    python tests/bench/run.py pair switch        some of them
    python tests/bench/run.py --quick --json results.json

Each row compares with a baseline that is measured beside it: what, the base's time,
ours, the median of the ratios, the budget and whether it is kept, the range of the
ratios. The exit status is 1 if an answer was wrong or a measurement failed; a budget
that is missed is printed as `over`, and is no failure: other programs may be running.
"""

import argparse
import dataclasses
import importlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # also where Python leaves the script's folder out

from _measure import Row, gil_is_on  # noqa: E402

import taskrt  # noqa: E402

PROBLEMS = (
    "pair",
    "lock",
    "fib_levels",
    "fib_cutoff",
    "tiny_map",
    "imap",
    "parallel_map",
    "executor",
    "executor_map",
    "joblib_calls",
    "joblib_forest",
    "dask_graph",
    "nested_map",
    "switch",
    "suspend",
    "ping_pong",
    "ping_pong_threads",
    "cancel_suspended",
    "wake",
    "blocking",
    "sort_arrays",
    "sort_float64",
    "sort_objects",
    "array_algorithms",
    "blas_matmul",
    "idle",
    "sleep_accuracy",
    "memory_pending",
    "memory_suspended",
    "memory_flat",
    "native_fib",
    "native_nqueens",
    "native_uts",
    "native_matmul",
    "native_loop",
)
LINE = "{:46} {:>9} {:>9} {:>12} {:>8} {:5} {}"


def main(argv: list[str] | None = None) -> int:
    """Measure what `argv` names; return 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROBLEMS))
    parser.add_argument("--quick", action="store_true", help="small sizes, few turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.names if name not in PROBLEMS]:
        parser.error(
            f"no problem named {unknown[0]!r}; there are {', '.join(PROBLEMS)}"
        )

    facts = about_here()
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    if facts["load"] > facts["cores"] / 2:
        print(
            "Other programs are using the cores: two workers will look worse than so."
        )
    print(LINE.format("", "base", "ours", "ratio", "budget", "", "range or note"))
    rows: list[Row] = []
    failed = False
    for name in args.names or PROBLEMS:
        problem = importlib.import_module(f"{name}.problem")
        print(f"-- {name}: {problem.__doc__}")
        try:
            rows.extend(shown(problem.rows(quick=args.quick)))
        except Exception:
            failed = True
            traceback.print_exc(file=sys.stdout)
    if args.json:
        listed = [dataclasses.asdict(row) | {"verdict": row.verdict} for row in rows]
        args.json.write_text(json.dumps({"facts": facts, "rows": listed}, indent=1))
    return int(failed)


def shown(rows: Iterable[Row]) -> Iterable[Row]:
    """Print each row as it comes."""
    for row in rows:
        value = "" if row.value is None else f"{row.value:.2f} {row.unit}"
        budget = "" if row.budget is None else str(row.budget)
        cells = (row.what, row.base, row.ours, value, budget, row.verdict, row.note)
        print(LINE.format(*cells).rstrip(), flush=True)
        yield row


def about_here() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "taskrt": taskrt.info()["version"],
        "Python": platform.python_version(),
        "GIL": "on" if gil_is_on() else "off",
        "cores": taskrt.available_cpus(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0,
    }


if __name__ == "__main__":
    sys.exit(main())
