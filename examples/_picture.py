"""A timeline in the terminal: a row per worker, drawn from what the leaves recorded."""

import sys
from collections.abc import Callable
from itertools import cycle
from time import perf_counter, thread_time
from typing import NamedTuple, ParamSpec, TypeVar

from taskrt import num_threads, thread_id

P = ParamSpec("P")
T = TypeVar("T")

BLOCKS = "█▒▓░"
ASCII = "#o+-"


class Span(NamedTuple):
    """One leaf: which worker ran it, what it was, when, and its processor time."""

    worker: int
    kind: str
    start: float
    end: float
    cpu: float


class Picture:
    """Spans of the leaves of one run. Any thread may record; one thread draws.

    >>> picture = Picture()
    >>> seconds, total = picture.watch(picture.leaf, "sum", sum, [1, 2, 3])
    >>> total
    6
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.start = self.end = 0.0

    def watch(
        self, fn: Callable[P, T], *args: P.args, **kw: P.kwargs
    ) -> tuple[float, T]:
        """Run `fn` as the whole that the picture shows; return seconds and answer."""
        self.spans.clear()
        self.start = perf_counter()
        answer = fn(*args, **kw)
        self.end = perf_counter()
        return self.end - self.start, answer

    def leaf(
        self, kind: str, fn: Callable[P, T], /, *args: P.args, **kw: P.kwargs
    ) -> T:
        """Run `fn`, a leaf that neither spawns nor waits, and record it as `kind`."""
        cpu, start = thread_time(), perf_counter()
        answer = fn(*args, **kw)
        end, cpu = perf_counter(), thread_time() - cpu
        self.spans.append(Span(thread_id(), kind, start, end, cpu))
        return answer

    def draw(self, width: int = 60, glyphs: str | None = None) -> str:
        """Return the picture; `glyphs` defaults to what stdout can encode.

        A row ends with the processor time of the worker's leaves as a share of the
        whole run: with a GIL two workers can both be inside a leaf while one waits.
        """
        glyphs = glyphs or glyphs_for(sys.stdout.encoding)
        names = dict.fromkeys(s.kind for s in self.spans)
        kinds = dict(zip(names, cycle(glyphs), strict=False))
        total = max(self.end - self.start, 1e-9)
        rows, idle = [], 0
        for worker in sorted({*range(num_threads()), *(s.worker for s in self.spans)}):
            mine = [s for s in self.spans if s.worker == worker]
            if not mine:
                idle += 1
                continue
            name = f"worker {worker}" if worker >= 0 else "other"
            share = sum(s.cpu for s in mine) / total
            line = "".join(self._cell(mine, kinds, i, width) for i in range(width))
            rows.append(f"{name:>10} |{line}| {share:4.0%} of a core")
        if idle:
            rows.append(f"{idle:>10} more worker{'s' * (idle > 1)} found nothing to do")
        legend = ", ".join(f"{glyph} {kind}" for kind, glyph in kinds.items())
        rows.append(f"{'':>10}  0 s{f'{total:.3f} s':>{width - 3}}   {legend}")
        return "\n".join(rows)

    def _cell(self, mine: list[Span], kinds: dict[str, str], i: int, width: int) -> str:
        """Return the glyph of the kind that filled most of cell `i`, blank if none.

        A span that fills little shows in the cell of its middle, so none is missing.
        """
        step = (self.end - self.start) / width
        low, high = self.start + i * step, self.start + (i + 1) * step
        filled = dict.fromkeys(kinds, 0.0)
        for span in mine:
            filled[span.kind] += max(0.0, min(span.end, high) - max(span.start, low))
        kind = max(filled, key=filled.__getitem__)
        shows = any(low <= (span.start + span.end) / 2 < high for span in mine)
        return kinds[kind] if shows or filled[kind] > step / 8 else " "


def glyphs_for(encoding: str | None) -> str:
    """Return block characters if `encoding` has them, else ASCII ones."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS
