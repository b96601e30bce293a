"""Equality of nests of arrays, by content."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def same(one: Any, other: Any) -> bool:
    """Whether two nests of dicts, lists and tuples have equal arrays and numbers, with NaN equal to NaN.

    Functions are compared by name, which is what a file stores.
    """
    one, other = _named(one), _named(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if _is_numeric(one) and _is_numeric(other):
        first, second = np.asarray(one), np.asarray(other)
        if first.shape != second.shape:
            return False
        equal = first == second
        if first.dtype.kind in "fc" and second.dtype.kind in "fc":
            equal = equal | (np.isnan(first) & np.isnan(second))
        return bool(np.all(equal))
    return type(one) is type(other) and bool(one == other)


def _named(value):
    return getattr(value, "__name__", repr(value)) if callable(value) else value


def _is_numeric(value):
    return isinstance(value, (np.ndarray, np.generic, float, int))
