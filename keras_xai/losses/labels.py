"""The scores that relevance starts from, and label checks."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_xai.backend import has_values

Top = Literal["label", "predicted", "all"]


def score_weights(target: str, scores: Any, y: Any, *, sigmoid: bool) -> Any:
    """The weight of each score, a tensor of the scores' shape.

    Args:
        target: `"label"` for the score of the true class, `"predicted"` for the highest, `"all"` for all scores.
        scores: Tensor `(n, classes)`, for `"all"` of any shape.
        y: Class indices `(n,)` or `(n, 1)`, or a row of weights for each sample, `(n, classes)`; only read for `"label"`.
        sigmoid: Whether each score becomes a probability separately. A single score then stands for two classes, the first of which has the
            negative score.
    """
    if target == "all":
        return ops.ones_like(scores)
    y = None if y is None else ops.convert_to_tensor(y)
    if target == "label" and None not in (y.shape[0], scores.shape[0]) and y.shape[0] != scores.shape[0]:
        raise ValueError(
            f"Expected `y` to have a label for each of the {scores.shape[0]} samples. Received: {y.shape[0]} labels."
        )
    if scores.shape[-1] == 1:
        positive = ops.cast(y, scores.dtype) if target == "label" else ops.cast(scores > 0, scores.dtype)
        return 2 * ops.reshape(positive, ops.shape(scores)) - 1
    if target == "predicted":
        if sigmoid:
            return ops.cast(scores > 0, scores.dtype)
        y = ops.argmax(scores, axis=-1)
    if len(y.shape) == 2 and y.shape[-1] == scores.shape[-1]:
        return ops.cast(y, scores.dtype)
    return ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), scores.shape[-1], dtype=scores.dtype)


def check_scores(target: str, spec: keras.KerasTensor) -> None:
    """Rejects a model without one score per class if the target needs classes."""
    if target != "all" and (len(spec.shape) != 2 or spec.shape[-1] is None):
        raise ValueError(
            f"With target={target!r}, expected a model that returns one score per class, of shape (n, classes). Received: a model whose "
            f"output has the shape {tuple(spec.shape)}. Use target='all', or a model that ends in scores."
        )


def check_labels(y: Any, classes: int) -> None:
    """Rejects labels that do not fit the number of scores.

    Args:
        y: Array or tensor, as in `score_weights`; for placeholders, only the shape is checked.
        classes: Number of scores.
    """
    if y is None:
        raise ValueError("With target='label', expected labels. Received: y=None. Pass them, or use another target.")
    try:
        y = np.asarray(y) if has_values(y) else y
    except ValueError:  # a ragged list
        y = np.array(None)
    if len(y.shape) not in (1, 2) or (len(y.shape) == 2 and y.shape[1] not in (1, classes, None)):
        raise ValueError(
            f"Expected labels `y` of shape (n,) or (n, 1), or rows of shape (n, {classes}). Received: labels of shape "
            f"{tuple(y.shape)}."
        )
    if not isinstance(y, np.ndarray) or not y.size:
        return
    if len(y.shape) == 2 and y.shape[1] == classes > 1:
        if y.dtype.kind not in "fiub" or not np.isfinite(y).all() or y.min() < 0:
            raise ValueError(
                f"Expected `y` to have rows of finite nonnegative numbers, such as one-hot labels. Received: {_described(y)}."
            )
        return
    last = max(classes, 2) - 1
    if y.dtype.kind not in "fiub" or not np.isfinite(y).all() or (y != np.floor(y)).any() or y.min() < 0 or y.max() > last:
        raise ValueError(f"Expected integers from 0 to {last} as labels `y`. Received: {_described(y)}.")


def _described(y):
    return f"labels of dtype {y.dtype}" + (f" from {y.min()} to {y.max()}" if y.dtype.kind in "fiub" else "")
