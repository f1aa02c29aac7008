"""What kernels refuse: with TypeError or ValueError, and with nothing written."""

from __future__ import annotations

import array
import ctypes
import struct
from collections.abc import Callable

import pytest

from taskrt import _kernels as kernels


@pytest.mark.parametrize("wrong", [None, 5, [1, 2], "text", range(3)])
def test_what_has_no_buffer_is_refused(wrong: object) -> None:
    good = array.array("i", [1])
    calls: list[Callable[[], object]] = [
        lambda: kernels.merge(wrong, good, good),
        lambda: kernels.merge(good, wrong, good),
        lambda: kernels.merge(good, good, wrong),
        lambda: kernels.merge_path(good, wrong, 0),
        lambda: kernels.fill(wrong, 0),
        lambda: kernels.copy(wrong, good),
        lambda: kernels.copy(good, wrong),
        lambda: kernels.sum(wrong),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=f"not '{type(wrong).__name__}'"):
            call()


@pytest.mark.parametrize("code", ["c", "?", "P"])
def test_other_types_are_refused(code: str) -> None:
    view = memoryview(bytearray(8 * 4)).cast(code)
    with pytest.raises(TypeError, match=r"not items of \d bytes with the format"):
        kernels.sum(view)


def test_mixed_types_are_refused() -> None:
    ints, floats = array.array("i", [1]), array.array("f", [2])
    out = array.array("i", [7, 7])
    for call in (
        lambda: kernels.merge(ints, floats, out),
        lambda: kernels.merge(floats, floats, out),
        lambda: kernels.merge_path(ints, floats, 1),
        lambda: kernels.copy(floats, ints),
    ):
        with pytest.raises(TypeError, match="holds (int|float)32, but"):
            call()
    assert out.tolist() == [7, 7]


def test_foreign_byte_order_is_refused() -> None:
    big, little = ctypes.c_int32.__ctype_be__, ctypes.c_int32.__ctype_le__
    native = little if struct.pack("=h", 1) == b"\x01\x00" else big
    foreign = big if native is little else little
    assert kernels.sum((native * 2)(1, 2)) == 3
    with pytest.raises(ValueError, match="byte order of other machines"):
        kernels.sum((foreign * 2)(1, 2))
    assert kernels.sum((ctypes.c_int8 * 2)(1, 2)) == 3


def test_numpy_types_without_a_kernel_are_refused() -> None:
    np = pytest.importorskip("numpy")
    for name in ("float16", "complex128", "bool", "longdouble", "S4", "i4,f8"):
        with pytest.raises(TypeError, match="has to hold integers"):
            kernels.sum(np.zeros(3, name))
    with pytest.raises(ValueError, match="byte order"):
        kernels.sum(np.zeros(3, np.dtype("f8").newbyteorder()))
    with pytest.raises(ValueError, match="read-only"):
        kernels.fill(np.broadcast_to(np.float64(1.0), 5), 2.0)
    assert kernels.sum(np.broadcast_to(np.float64(1.5), 100)) == 150.0


def test_other_dimensions_are_refused() -> None:
    grid = memoryview(bytes(6)).cast("B", (2, 3))
    with pytest.raises(ValueError, match="one dimension, not 2"):
        kernels.sum(grid)
    with pytest.raises(ValueError, match="one dimension, not 0"):
        kernels.sum(ctypes.c_double(1.0))


def test_merge_refuses_gaps() -> None:
    items = memoryview(array.array("i", range(8)))
    out = array.array("i", bytes(32))
    with pytest.raises(ValueError, match="left has to be contiguous.* 8 bytes apart"):
        kernels.merge(items[::2], items[:4], out)
    with pytest.raises(ValueError, match="right has to be contiguous"):
        kernels.merge(items[:4], items[::-1], out)
    with pytest.raises(ValueError, match="out has to be contiguous"):
        kernels.merge(items[:2], items[:2], memoryview(out)[::2])
    one = items[::-1][:1]  # there is nothing that it could be apart from
    two = array.array("i", bytes(8))
    kernels.merge(one, items[:1], two)
    assert two.tolist() == [0, 7]


def test_unaligned_arrays_are_refused() -> None:
    view = memoryview(bytearray(17))[1:].cast("d")
    with pytest.raises(ValueError, match="array is not aligned"):
        kernels.sum(view)


def test_read_only_arrays_are_not_written() -> None:
    source = array.array("B", b"ab")
    for call in (
        lambda: kernels.merge(source, source, b"1234"),
        lambda: kernels.copy(source, memoryview(source).toreadonly()),
        lambda: kernels.fill(b"1234", 0),
    ):
        with pytest.raises(ValueError, match="is read-only"):
            call()


def test_lengths_have_to_fit() -> None:
    items = array.array("i", [1, 2])
    for length in (0, 3, 5):
        with pytest.raises(ValueError, match=f"out has to have 4 items.*not {length}"):
            kernels.merge(items, items, array.array("i", bytes(4 * length)))
        with pytest.raises(ValueError, match=f"target has to have 2.*not {length}"):
            kernels.copy(items, array.array("i", bytes(4 * length)))
    for diagonal in (-1, 5):
        with pytest.raises(ValueError, match=f"from 0 to 4, not {diagonal}"):
            kernels.merge_path(items, items, diagonal)


def test_overlapping_memory_is_refused() -> None:
    memory = memoryview(array.array("i", range(10)))
    other = array.array("i", [1, 2])
    with pytest.raises(ValueError, match="out overlaps left in memory"):
        kernels.merge(memory[3:5], other, memory[4:8])
    with pytest.raises(ValueError, match="out overlaps right in memory"):
        kernels.merge(other, memory[6:], memory[1:7])
    for source, target in ((memory[:5], memory[4:9]), (memory[::-2], memory[1::2])):
        with pytest.raises(ValueError, match="target overlaps source"):
            kernels.copy(source, target)
    assert memory.tolist() == list(range(10))
    kernels.merge(memory[:2], memory[:2], memory[2:6])
    kernels.copy(memory[:4][::-1], memory[6:])
    assert memory.tolist() == [0, 1, 0, 0, 1, 1, 0, 0, 1, 0]


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_fill_refuses_integers_that_do_not_fit(code: str) -> None:
    bits = 8 * struct.calcsize(code)
    low = 0 if code.isupper() else -(2 ** (bits - 1))
    high = low + 2**bits - 1
    items = array.array(code, [1, 2])
    for value in (low - 1, high + 1, -(2**70), 2**70):
        with pytest.raises(OverflowError, match=f"value {value} does not fit u?int"):
            kernels.fill(items, value)
    assert items.tolist() == [1, 2]
    with pytest.raises(TypeError, match="interpreted as an integer"):
        kernels.fill(items, 1.0)


def test_fill_refuses_what_is_no_float() -> None:
    items = array.array("f", [1.0])
    with pytest.raises(OverflowError):
        kernels.fill(items, 1e300)
    with pytest.raises(TypeError):
        kernels.fill(items, "1")  # type: ignore[arg-type]
    assert items.tolist() == [1.0]
