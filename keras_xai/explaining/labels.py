"""Labels that `explain` is given, as indices of classes or numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_xai.data.checks import real_array


def read_labels(y: Any, count: int, num_classes: int | None, class_names: Sequence[str] | None) -> np.ndarray:
    """Labels as integers, or as numbers for a model that predicts numbers.

    Args:
        y: Integers, one-hot rows, names of classes or numbers.
        count: The number of samples.
        num_classes: The number of classes; `None` for a model that predicts numbers.
        class_names: Their names, if they are known.

    Returns:
        `(count,)`.

    Raises:
        ValueError: If they are none of these, or not one for each sample.
    """
    try:
        array = np.asarray(y)
    except Exception:  # ragged ones, and whatever an object's own conversion raises
        array = np.array(None)
    if array.dtype.kind in "OSU" and array.ndim:
        return _named_labels(array.reshape(-1), count, class_names)
    array = real_array("y", array, "labels, one for each sample")
    if array.ndim == 2 and num_classes is not None and array.shape == (count, num_classes) and array.shape[1] > 1:
        others = np.flatnonzero(~(np.isin(array, (0, 1)).all(axis=1) & (array.sum(axis=1) == 1)))
        if len(others):
            raise ValueError(
                f"Expected labels `y` of one class for each sample, of which rows are one-hot. Received: {len(others)} other rows, first "
                f"y[{others[0]}]={array[others[0]].tolist()!r}. Leave out labels of several classes, or of none."
            )
        return array.argmax(axis=1)
    if array.shape not in ((count,), (count, 1)) or not np.isfinite(array.astype("float64")).all():
        raise ValueError(
            f"Expected finite labels `y`, one for each of {count} samples. Received: an array of shape {array.shape}."
        )
    array = array.reshape(count)
    if num_classes is None:
        return array.astype("float64")
    if (array != array.astype(int)).any() or array.min() < 0 or array.max() >= num_classes:
        raise ValueError(
            f"Expected labels `y` from 0 to {num_classes - 1}, the classes of the model. Received: labels from {array.min()} to "
            f"{array.max()}."
        )
    return array.astype(int)


def _named_labels(array, count, class_names):
    words = [each.decode() if isinstance(each, bytes) else str(each) for each in array]
    if len(words) != count:
        raise ValueError(f"Expected labels `y`, one for each of {count} samples. Received: {len(words)} labels.")
    if class_names is None:
        raise ValueError(
            f"Expected `class_names` with labels `y` that are words. Received: y={words[:3]}... and class_names=None"
        )
    unknown = sorted(set(words) - set(class_names))
    if unknown:
        raise ValueError(
            f"Expected labels `y` out of `class_names`. Received: {unknown[:5]}, which are none of {class_names[:10]}."
        )
    twice = sorted({word for word in words if class_names.count(word) > 1})
    if twice:
        raise ValueError(
            f"Expected labels `y` that name one class. Received: {twice[:5]}, which several of `class_names` are. Give the indices of the "
            "classes."
        )
    return np.array([class_names.index(word) for word in words])
