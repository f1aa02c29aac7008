"""What the type checkers must say of the bridge to asyncio. Checked, never run."""

import asyncio
from typing import assert_type

from taskrt import spawn
from taskrt.interop import aio, dask, joblib


def count(text: str, *, base: int = 10) -> int:
    return int(text, base)


async def later(n: int) -> str:
    return str(n)


async def main() -> None:
    assert_type(await spawn(count, "5"), int)
    assert_type(await aio.run(count, "5", base=16), int)
    await aio.run(count)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


assert_type(aio.from_async(later(1)), str)
assert_type(aio.from_async(spawn(count, "5"), timeout=1.5), int)
assert_type(aio.from_async(later(1), loop=asyncio.new_event_loop()), str)
aio.from_async(later)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
assert_type(joblib.register(), None)
joblib.register("taskrt")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
dask.get({"x": 1}, "x", num_workers=2, chunksize=3)
dask.get({"x": 1})  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
