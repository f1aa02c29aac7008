"""What checkers see of channels."""

from queue import Empty
from typing import assert_type

from taskrt import (
    Channel,
    ChannelClosed,
    Event,
    Queue,
    Task,
    select,
    sleep_op,
    spawn,
)

numbers: Channel[int] = Channel(3)
names: Channel[str] = Channel(float("inf"))
unbounded: Channel[bytes] = Channel(None)

numbers.put(1, timeout=0.5)
numbers.put("one")  # type: ignore[arg-type]
assert_type(numbers.get(), int)
assert_type(numbers.get_nowait(), int)
assert_type([number for number in numbers], list[int])
assert_type(len(numbers), int)
assert_type(numbers.closed, bool)
numbers.bind(spawn(len, "abc"))
numbers.bind("abc")  # type: ignore[arg-type]
numbers.close(Empty())
numbers.close(Empty)  # type: ignore[arg-type]

assert_type(select(numbers.get_op()), tuple[int, int])
assert_type(select(names.put_op("a")), tuple[int, None])
assert_type(select(numbers.get_op(), default="none"), tuple[int, int | str])
select(numbers.get_op(), names.get_op(), timeout=1)
assert_type(select(Event().wait_op()), tuple[int, bool])
assert_type(select(spawn(len, "abc").wait_op()), tuple[int, Task[int]])
assert_type(select(sleep_op(1.5), default=2), tuple[int, int | None])
sleep_op("1")  # type: ignore[arg-type]
select(numbers)  # type: ignore[call-overload]
names.put_op(1)  # type: ignore[arg-type]

queue: Queue[int] = Queue()
queue.put(1, block=False)
assert_type(queue.get(timeout=1), int)
assert_type(queue.statistics().unfinished_tasks, int)
assert_type(numbers.statistics().maxsize, int | float)
assert_type(ChannelClosed("text", numbers).channel, object)
