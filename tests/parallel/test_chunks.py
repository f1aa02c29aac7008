"""chunks: a sequence in parts."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import taskrt
from taskrt.parallel import chunks

SPLITS: list[Literal["consecutive", "round_robin"]] = ["consecutive", "round_robin"]


@given(
    length=st.integers(0, 200),
    n=st.none() | st.integers(1, 50),
    min_size=st.integers(1, 40),
    split=st.sampled_from(SPLITS),
)
def test_so_many_chunks_of_nearly_one_size(
    length: int,
    n: int | None,
    min_size: int,
    split: Literal["consecutive", "round_robin"],
) -> None:
    found = chunks(length, n=n, min_size=min_size, split=split)
    assert sorted(i for chunk in found for i in chunk) == list(range(length))
    sizes = [len(chunk) for chunk in found]
    assert len(found) <= (n or taskrt.num_threads())
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    assert all(size >= min(min_size, length) for size in sizes)
    assert all(sizes)
    if length >= (n or taskrt.num_threads()) * min_size:
        assert len(found) == (n or taskrt.num_threads())


@given(
    items=st.lists(st.integers()),
    size=st.integers(1, 20),
    split=st.sampled_from(SPLITS),
)
def test_chunks_of_a_size(
    items: list[int], size: int, split: Literal["consecutive", "round_robin"]
) -> None:
    found = chunks(items, size=size, split=split)
    assert sorted(i for chunk in found for i in chunk) == sorted(items)
    assert len(found) == -(-len(items) // size)
    assert all(0 < len(chunk) <= size for chunk in found)
    if split == "consecutive":
        assert [i for chunk in found for i in chunk] == items


def test_chunks_are_slices() -> None:
    assert chunks("abcde", n=2) == ["ab", "cde"]
    assert chunks((1, 2, 3), size=2) == [(1, 2), (3,)]
    assert chunks(range(10, 16), n=2, split="round_robin") == [
        range(10, 16, 2),
        range(11, 17, 2),
    ]


def test_chunks_of_an_array_are_views() -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros((10, 3))
    for part, view in enumerate(chunks(array, n=3)):
        view[:] = part
    assert array[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("what", "options", "error", "text"),
    [
        (10, {"n": 2, "size": 3}, ValueError, "size or else n"),
        (10, {"size": 3, "min_size": 2}, ValueError, "size or else n"),
        (10, {"n": 0}, ValueError, "n must be 1 or more"),
        (10, {"size": -1}, ValueError, "size must be 1 or more"),
        (10, {"min_size": 1.5}, TypeError, "min_size must be an int"),
        (10, {"n": True}, TypeError, "n must be an int"),
        (10, {"split": "random"}, ValueError, "not 'random'"),
        (-1, {}, ValueError, "0 indices or more, not -1"),
        ({1, 2}, {}, TypeError, "not 'set'"),
        ({1: 2}, {}, TypeError, "not 'dict'"),
        (iter([]), {}, TypeError, "make a list of it"),
    ],
)
def test_wrong_arguments_are_told(
    what: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        chunks(what, **options)
