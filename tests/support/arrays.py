"""Arrays of every type of NumPy, with what is hard to sort in each."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

DTYPES = (
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g"),
    *("c8", "c16", "M8[s]", "m8[ms]", "S1", "S5", "S8", "S21", "U1", "U5", "U13"),
    *("V3", ">i4", ">f2", ">f8", ">M8[s]", ">U5", "O", "i4,f8", "T"),
)


def make(dtype: str, length: int, seed: int = 0) -> Any:
    """Return an array with many equal items, and such as are hard to order.

    dtype  one of DTYPES; "T" is the text of variable width that NumPy 2 has
    """
    rng = np.random.default_rng(seed)
    small = rng.integers(-20, 20, length)
    if dtype == "T":
        return small.astype("U3").astype(np.dtypes.StringDType())
    kind = np.dtype(dtype).kind
    if kind == "V" and np.dtype(dtype).names:
        array = np.zeros(length, dtype)
        array["f0"], array["f1"] = small, rng.integers(0, 3, length)
        return array
    if kind in "fc":
        return _with_nans(rng, small, dtype)
    if kind in "mM":
        times = (small * 10**8).astype("i8").view(np.dtype(dtype).newbyteorder("="))
        times[small == 3] = "NaT"
        return times.astype(dtype)
    if kind in "SU":
        return _texts(rng, small, dtype)
    if kind == "V":
        return rng.integers(0, 5, (length, 3), "u1").view(dtype).reshape(length)
    if kind == "O":
        return np.array([float(x) if x % 2 else int(x) for x in small], object)
    return small.astype(dtype)


def _with_nans(rng: np.random.Generator, small: Any, dtype: str) -> Any:
    array = (small / 4).astype(dtype)
    array[small == 0] = 0.0
    array[rng.random(len(small)) < 0.05] = -0.0
    array[small == 5] = math.nan
    array[small == 6] = -math.nan
    array[small == 7] = math.inf
    array[small == 8] = -math.inf
    if array.dtype.kind == "c":
        array.imag = rng.integers(0, 3, len(small))
        array.imag[small == 9] = math.nan
    return array


def _texts(rng: np.random.Generator, small: Any, dtype: str) -> Any:
    """Return texts with common beginnings, empty ones, and characters of all sizes."""
    signs = np.array(["", "a", "ab", "\x7f", "longer than eight ", "longer than "])
    if np.dtype(dtype).kind == "U":
        signs = np.append(signs, ["\xe9", "\u20ac", "\U0001f600", "longer thaN \u20ac"])
    first = signs[rng.integers(0, len(signs), len(small))]
    texts = np.strings.add(first, small.astype("U3"))
    texts[small == 4] = ""
    return texts.astype(dtype)


def is_same(found: Any, expected: Any) -> bool:
    """Return whether two arrays are alike to the last bit, or as objects equal."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    if found.dtype.kind in "OT":
        return all(
            type(x) is type(y) and x == y
            for x, y in zip(found.flat, expected.flat, strict=True)
        )
    if found.dtype == np.longdouble:
        # Ten bytes of sixteen count.
        same = np.array_equal(found, expected, equal_nan=True)
        return bool(same and (np.signbit(found) == np.signbit(expected)).all())
    return bool(found.tobytes() == expected.tobytes())


VIEWS: dict[str, Callable[[Any], Any]] = {
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[..., ::-1].copy()[..., ::-1],
    "columns": lambda a: np.asfortranarray(a),
    "unaligned": lambda a: _unaligned(a),
    "read-only": lambda a: _read_only(a),
}


def _unaligned(a: Any) -> Any:
    if a.dtype.kind in "OT":  # cannot be
        return a.copy()
    memory = np.zeros(a.nbytes + 1, "u1")
    view = memory[1:].view(a.dtype) if a.itemsize else a
    view = view.reshape(a.shape)
    view[...] = a
    return view


def _read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a
