"""Checks of the arguments of merging, pruning and flattening."""

from typing import Any

import numpy as np

from keras_xai.data.checks import check_count, check_instance, check_positive, real_array
from keras_xai.openbox.engine import Engine


def check_box(box: Any) -> None:
    """Checks that the argument is an `OpenBox`."""
    check_instance("box", box, Engine, "an `OpenBox`")


def check_labels(y: Any, num_outputs: int, num_samples: int | None) -> np.ndarray | None:
    """Checks the user's labels and returns class indices `(n,)`."""
    if y is None:
        return None
    labels = real_array("y", y, "class indices of shape (n,)")
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
            f"Expected class indices from 0 to {num_classes - 1} in `y`. Received: indices from {labels.min()} to {labels.max()}."
        )
    return labels


def check_settings(ridge: Any, steps: Any, name: str) -> None:
    """Checks the fitting options: the ridge, and the number of steps or rounds, whose argument is called `name`."""
    check_positive("ridge", ridge)
    check_count(name, steps, least=0)
