"""Texts as words: an input of free text is read as an array of words, one row for each sample."""

from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np


@final
class Words(keras.KerasTensor):
    """Spec of an input of free text, `(None, None)` strings: the words of each sample, padded with `""`."""


def is_string(spec: keras.KerasTensor) -> bool:
    """Whether an input is of strings."""
    return spec.dtype == "string"


def as_strings(array: np.ndarray, spec: keras.KerasTensor) -> np.ndarray:
    """Strings as an array of NumPy's own string dtype, which can be compared, sliced and saved.

    Args:
        array: Strings, as `str`, or as `bytes` in UTF-8 like those of TensorFlow.
        spec: The input.

    Raises:
        ValueError: If an entry is not a string, such as a missing value.
    """
    if array.dtype.kind == "U":
        return array
    for place, entry in np.ndenumerate(array):
        if not isinstance(entry, (str, bytes)):
            sample = f" in sample {place[0]}" if place else ""
            column = f", column {place[1]}" if len(place) > 1 and array.shape[1] > 1 else ""
            raise ValueError(
                f"Expected strings as input '{spec.name}'. Received: {entry!r}{sample}{column}. Replace missing values, for example by "
                '`frame.fillna("")`, and convert numbers by `astype(str)`.'
            )
    found = [entry.decode(errors="replace") if isinstance(entry, bytes) else entry for entry in array.ravel()]
    return np.array(found, dtype=str).reshape(array.shape)


def words(texts: np.ndarray) -> np.ndarray:
    """Divides texts at white space.

    Args:
        texts: Strings `(n,)`, `(n, 1)`, or words `(n, words)`, which are returned unchanged.

    Returns:
        Strings `(n, most words)`, padded with `""`; at least one column.
    """
    if (texts.ndim == 2 and texts.shape[1] > 1) or texts.ndim not in (1, 2):
        return texts
    divided = [text.split() for text in texts.reshape(-1)]
    found = np.full((len(divided), max([1, *map(len, divided)])), "", dtype=texts.dtype if texts.dtype.itemsize else "<U1")
    for row, each in zip(found, divided, strict=True):
        row[: len(each)] = each
    return found


def widened(arrays: Sequence[np.ndarray], fill: Any) -> list[np.ndarray]:
    """Arrays `(n, words)` of several batches, filled up to the same number of words."""
    width = max(array.shape[1] for array in arrays)
    return [np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill) for array in arrays]


def joined(array: np.ndarray, spec: keras.KerasTensor) -> np.ndarray:
    """The samples of an input as the model takes them: words are joined to texts."""
    if not isinstance(spec, Words):
        return array
    texts = [" ".join(word for word in row if word) for row in array]
    return np.array(texts, dtype=str)[:, np.newaxis]
