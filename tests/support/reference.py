"""What the numeric kernels must come to, in plain Python."""

from __future__ import annotations

import array
from typing import Any


def in_order(items: array.array[Any]) -> array.array[Any]:
    """Return the numbers in order, equal ones as they came, and NaNs behind them."""
    numbers = sorted(x for x in items if x == x)
    return array.array(items.typecode, numbers + [x for x in items if x != x])
