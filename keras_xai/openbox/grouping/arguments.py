"""Checks of the arguments of merging, pruning and flattening."""

from typing import Any

import numpy as np
from keras import tree


def check_labels(y: Any, num_outputs: int, num_samples: int | None) -> np.ndarray | None:
    """Class indices `(n,)` from what a user gave, checked against what is known so far."""
    if y is None:
        return None
    labels = np.asarray(y)
    num_classes = max(num_outputs, 2)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise ValueError(
            f"Expected `y` to be class indices of shape (n,). Received: an array of shape {labels.shape} and type {labels.dtype}."
        )
    if num_samples is not None and len(labels) != num_samples:
        raise ValueError(f"Expected `y` to have one label for each of {num_samples} samples. Received: {len(labels)} labels.")
    labels = labels.astype(int)
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"Expected class indices from 0 to {num_classes - 1} in `y`. Received: from {labels.min()} to {labels.max()}."
        )
    return labels


def check_count(name: str, value: Any, num_regions: int | None = None) -> None:
    """Checks a number of groups or regions, against the number of regions if that is known."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"Expected `{name}` to be a positive integer. Received: {name}={value!r}")
    if num_regions is not None and value > num_regions:
        raise ValueError(
            f"Expected `{name}` to be at most the number of regions of `x`, {num_regions}. Received: {name}={value}"
        )


def check_settings(ridge: Any, steps: Any, name: str) -> None:
    """Checks the options of fitting: a ridge, and the number of steps or rounds that goes by `name`."""
    if not 0 < ridge < np.inf:
        raise ValueError(f"Expected `ridge` to be a positive number. Received: ridge={ridge!r}")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"Expected `{name}` to be 0 or a positive integer. Received: {name}={steps!r}")


def num_samples_of(x: Any) -> int | None:
    """Number of samples, `None` where it takes reading them."""
    shape = getattr(tree.flatten(x)[0], "shape", None)
    return shape[0] if shape else None
