"""Short descriptions of values, for the `repr` of results and their tables in notebooks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_LONGEST = 160
_FEW = 8


def one_line(text: str, longest: int = _LONGEST) -> str:
    """A text without line breaks, truncated if it is long."""
    text = " ".join(encodable(text).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def encodable(text: str) -> str:
    """A text in which lone surrogates, which no file and no font has a place for, are escapes, as Python writes them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def counted(number: int, noun: str) -> str:
    """A count with its noun, such as "1 sample" or "1,000 samples"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def leaves(value: Any) -> list[np.ndarray]:
    """The arrays of a nest of lists, tuples and dicts, without `None`."""
    if isinstance(value, Mapping):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, (list, tuple)):
        return [leaf for each in value for leaf in leaves(each)]
    return [] if value is None else [np.asarray(value)]


def shapes(value: Any, skip: int = 1) -> str:
    """Shapes of the arrays of a nest, without their first axes."""
    return " and ".join(str(leaf.shape[skip:]) for leaf in leaves(value))


def listed(values: Any, few: int = _FEW) -> str:
    """The first of several values, separated by commas."""
    values = list(values)
    return ", ".join(map(str, values[:few])) + (f", ... ({len(values):,})" if len(values) > few else "")


def unit_text(unit: tuple[int, ...]) -> str:
    """Text for a unit, which is a channel, or a position and a channel."""
    return str(unit[0]) if len(unit) == 1 else str(tuple(unit))


def described(value: Any) -> str:
    """A short description of a value; for an array, its shape and range."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {described(each)}" for name, each in value.items())
    if isinstance(value, Sequence):
        arrays = [each for each in value if isinstance(each, np.ndarray)]
        return "; ".join(map(described, arrays)) if arrays else listed(value)
    if callable(value):
        return getattr(value, "__name__", repr(value))
    return f"{value:.5g}" if isinstance(value, (float, np.floating)) else str(value)


def _array(value):
    if not value.ndim:
        return described(value.item())
    if value.ndim == 1 and value.size <= _FEW:
        return listed(f"{each:.4g}" if isinstance(each, float) else each for each in value.tolist())
    text = f"{value.dtype} array of shape {value.shape}"
    if value.dtype.kind in "iuf" and value.size:
        finite = value[np.isfinite(value)]
        text += f", from {finite.min():.4g} to {finite.max():.4g}" if finite.size else ", none of them finite"
        text += f", {value.size - finite.size:,} not finite" if 0 < finite.size < value.size else ""
    return text
