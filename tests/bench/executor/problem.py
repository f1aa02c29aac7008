"""Submit a call and take its result: TaskExecutor beside ThreadPoolExecutor."""

from collections.abc import Iterator

from _measure import Row, gain_row, side_by_side


def nothing() -> None:
    """Do nothing."""


def make(size: tuple[str, int]) -> tuple[str, int]:
    """Return how futures are waited for, and how many."""
    return size[0], size[1]


def is_right(answer: object, size: tuple[str, int]) -> bool:
    """Return whether every call has returned."""
    return answer == size[1]


def run(executor: object, data: tuple[str, int]) -> int:
    """Count the calls that have returned."""
    how, count = data
    submit = executor.submit  # type: ignore[attr-defined]
    if how == "one by one":
        return sum(submit(nothing).result() is None for _ in range(count))
    futures = [submit(nothing) for _ in range(count)]
    return sum(future.result() is None for future in futures)


def rows(*, quick: bool) -> Iterator[Row]:
    """Compare them, at two workers."""
    count = 2_000 if quick else 10_000
    for how in ("one by one", "all at once"):
        for ours, name in (("with_taskrt", "no cap"), ("with_taskrt_capped", "of 2")):
            sides = side_by_side(
                "executor",
                ours,
                base="with_executor",
                size=(how, count),
                repeats=5,
                workers=2,
            )
            what = f"submit and result, {how}, {name}"
            yield gain_row(what, sides, 10, each=count)
