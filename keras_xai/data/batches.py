"""Batches: slices of rows and their concatenation."""

from collections.abc import Sequence

import numpy as np


def rows(count: int, batch_size: int) -> list[slice]:
    """Consecutive slices of at most `batch_size` that cover `count` rows."""
    return [slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates the arrays of several batches.

    Raises:
        ValueError: If their samples differ in shape, which is possible in a dataset for a model with inputs of variable size.
    """
    if any(part.ndim == 0 for part in parts):
        raise ValueError("Expected batches of samples, arrays of shape (n, ...). Received: a batch that is not an array.")
    shapes = list(dict.fromkeys(part.shape[1:] for part in parts))
    if len(shapes) > 1:
        raise ValueError(
            f"Expected batches whose samples have the same shape, to be returned as one array. Received: samples of {shapes[0]} and of "
            f"{shapes[1]}. Pad or resize them to one shape, or call once for each shape."
        )
    return np.concatenate(parts)
