"""Which data are drawn as images, series, tables or texts."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from keras_xai.data.layout import Layout

# A square array of more channels is an image of a network of dense layers, which do not tell that it is one.
_SQUARE = 8


def kind_of(x: np.ndarray, layout: Layout | None) -> Literal["image", "series", "table", "text"]:
    """What samples are drawn as.

    Args:
        x: The samples of an input, channels last; or columns of several inputs.
        layout: Their layout; `None` for such columns.
    """
    if layout is None:
        return "table"
    if x.dtype.kind in "OU":
        return "text" if x.dtype.kind == "U" and x.ndim == 2 and x.shape[1] > 1 else "table"
    if layout.is_apart:
        return "table" if not layout.is_tokens else "text" if x.ndim == 2 else "image"
    return "series" if x.ndim == 3 and (x.shape[-1] <= _SQUARE or x.shape[1] != x.shape[2]) else "image"


def tabled(
    arrays: dict[str, np.ndarray], columns: Sequence[str] | None = None
) -> tuple[dict[str, np.ndarray], list[str] | None]:
    """Arrays in which several columns `(n, 1)` are one table, and the names of its columns, or `None` if there are not several.

    Args:
        arrays: An array for each input.
        columns: The names, if they are known.
    """
    if columns is None:
        columns = [name for name, x in arrays.items() if x.ndim == 1 or x.shape[1:] == (1,)]
        if len(columns) < 2:
            return arrays, None
    found = {name: x for name, x in arrays.items() if name not in columns}
    count = max(len(arrays[name]) if arrays[name].ndim else 0 for name in columns)
    # Values of a column that was held fixed are 0; numbers and strings stay what they are.
    parts = [arrays[name].reshape(count) if arrays[name].ndim else np.zeros(count) for name in columns]
    same = len({part.dtype.kind in "fiub" for part in parts}) == 1
    table = np.stack([part if same else part.astype(object) for part in parts], axis=1)
    return {"columns": table, **found}, list(columns)


def strongest_features(values: Sequence[np.ndarray], most: int) -> np.ndarray:
    """The features to draw: those with the largest relative relevance by any method.

    Args:
        values: By each method, `(features,)`.
        most: How many, at most.
    """
    strength = np.max([np.abs(each) / (np.abs(each).max() or 1.0) for each in values], axis=0)
    return np.argsort(-strength, kind="stable")[: num_shown(len(strength), most)]


def num_shown(count: int, most: int) -> int:
    """How many of several features are shown: at most `most`, or one more instead of telling that one is hidden."""
    return most if count > most + 1 else count
