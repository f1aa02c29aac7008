"""What the type checkers must say of lazy maps and reductions. Checked, never run."""

from operator import add
from typing import assert_type

from taskrt import parallel


def weigh(text: str, times: int) -> float:
    return float(len(text) * times)


words = ["a", "bc"]
assert_type(parallel.imap(len, words), parallel.imap[int])
assert_type(parallel.imap(weigh, words, [1, 2], ordered=False), parallel.imap[float])
with parallel.imap(len, words, buffer=3, grain=1) as lengths:
    assert_type(next(lengths), int)
    lengths.close()

assert_type(parallel.reduce(max, [1, 2]), int)
assert_type(parallel.reduce(max, words, map=len, initial=0), int)
assert_type(parallel.scan(add, words), list[str])
assert_type(parallel.filter(str.isupper, words), list[str])
assert_type(parallel.filter(None, words), list[str])
assert_type(parallel.any(words, map=len), bool)
assert_type(parallel.all(words), bool)
assert_type(parallel.min(words, default=None), str | None)
assert_type(parallel.max(words, key=len, default=0), str | int)
assert_type(parallel.sort(words, key=len, reverse=True), list[str])
