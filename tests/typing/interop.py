"""What the type checkers must say of what other libraries have. Checked, never run."""

import asyncio
import concurrent.futures
from typing import assert_type

from taskrt import spawn
from taskrt.interop import aio, dask, joblib
from taskrt.interop.futures import TaskExecutor
from taskrt.interop.pool import Pool


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


def square(n: int) -> int:
    return n * n


with TaskExecutor(2, initializer=count, initargs=("5",)) as executor:
    assert_type(executor.submit(count, "5", base=2).result(), int)
    assert_type(executor.submit(count, "5").exception(), BaseException | None)
    assert_type(list(executor.map(square, [1], timeout=1, chunksize=2)), list[int])
    executor.submit(count)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    as_stdlib: concurrent.futures.Executor = executor

with Pool(2) as pool:
    assert_type(pool.apply(square, (5,)), int)
    assert_type(pool.apply_async(square, (5,)).get(1), int)
    assert_type(pool.map(square, [1]), list[int])
    assert_type(pool.starmap_async(square, [(1,)]).get(), list[int])
    assert_type(next(pool.imap(square, [1])), int)
    assert_type(pool.imap_unordered(square, [1]).next(0.5), int)
