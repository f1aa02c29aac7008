"""imap: that it cannot be closed by what it waits for then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import taskrt
from taskrt import CancelScope, fetch, parallel, spawn

pytestmark = pytest.mark.usefixtures("threads")


@pytest.mark.parametrize("ordered", [True, False])
def test_close_by_the_function_is_refused(ordered: bool) -> None:
    def call(number: int) -> int:
        if number == 5:
            results.close()
        return number

    results = parallel.imap(call, range(10), grain=1, ordered=ordered)
    with pytest.raises(RuntimeError, match="outside of its function and its input"):
        list(results)
    assert list(results) == []
    results.close()


def test_close_by_the_input_is_refused() -> None:
    def items() -> Iterator[int]:
        yield 1
        with CancelScope(shield=True), pytest.raises(RuntimeError, match="outside of"):
            results.close()
        yield 2

    results = parallel.imap(int, items())
    assert list(results) == [1, 2]


def test_close_by_what_the_function_has_spawned_ends_all() -> None:
    def call(number: int) -> int:
        if number == 5:
            closing.append(spawn(results.close))
        return number

    closing: list[taskrt.Task[None]] = []
    results = parallel.imap(call, range(10), grain=1)
    assert len(list(results)) <= 10
    fetch(closing[0])
    assert list(results) == []
