"""Results of algorithms on arrays are the same, to the last bit, on any threads."""

import pytest
from support.child import run_script

np = pytest.importorskip("numpy", "2.0")

SCRIPT = """
import hashlib
import numpy as np
from support.arrays import DTYPES, make
from taskrt import num_threads, parallel

def show(name, array):
    array = np.asarray(array)
    if array.dtype.char in "OT":
        data = repr(array.tolist()).encode()
    elif array.dtype.char == "g":  # its bytes have gaps: two parts lose nothing
        with np.errstate(invalid="ignore"):
            high = array.astype("f8")
            data = high.tobytes() + (array - high).astype("f8").tobytes()
    else:
        data = array.tobytes()
    print(name, array.dtype, array.shape, hashlib.sha256(data).hexdigest())

for dtype in DTYPES:
    length = 20_000 if dtype in ("O", "T", "i4,f8") else 150_000
    a = make(dtype, length)
    show(f"sort {dtype}", parallel.sort(a))
    show(f"sort in rows {dtype}", parallel.sort(a.reshape(50, -1), 0))
    show(f"sort reversed {dtype}", parallel.sort(a, reverse=True))
    show(f"argsort {dtype}", parallel.argsort(a))
    left, right = (np.sort(part, kind="stable") for part in np.split(a, [length // 3]))
    show(f"merge {dtype}", parallel.merge(left, right))

rng = np.random.default_rng(1)
for dtype in ("f2", "f4", "f8", "g", "c8", "c16"):
    a = (1 + rng.random(480_000) / (1000 if dtype != "f2" else 1e9)).astype(dtype)
    for shape in ((-1,), (1000, -1), (-1, 4), (10, -1, 3)):
        x = a.reshape(shape)
        for axis in (None, *range(x.ndim)):
            for op in (np.add, np.multiply):
                with np.errstate(over="ignore"):
                    show(f"{op} {dtype} {axis}", parallel.reduce(op, x, axis=axis))
            show(f"cumsum {dtype} {axis}", parallel.cumsum(x, axis))
        show(f"map_blocks {dtype}", parallel.map_blocks(lambda v: v - v.mean(), x))
"""


@pytest.mark.isolated
def test_results_do_not_depend_on_the_number_of_threads() -> None:
    found = [
        run_script(SCRIPT, env={"TASKRT_NUM_THREADS": threads}).stdout
        for threads in ("1", "2", "4")
    ]
    assert found[0].count("\n") > 200
    assert found[0] == found[1]
    assert found[0] == found[2]
