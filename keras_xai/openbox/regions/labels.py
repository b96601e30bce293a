"""The labels of a classifier: the number of classes of a network, and the label of each score."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from keras_xai.data.checks import short
from keras_xai.network.piecewise import PiecewiseNetwork


def num_classes_of(network: PiecewiseNetwork) -> int:
    """Number of classes of a network: its number of scores, or two for one score.

    Raises:
        ValueError: If its outputs are not the probabilities or logits of mutually exclusive classes.
    """
    (spec,) = network.graph.output_specs
    if len(spec.shape) != 2:
        raise ValueError(
            f"Expected a model that classifies whole samples, with an output of shape (n, classes). Received: shape {spec.shape}."
        )
    num_scores = network.num_outputs
    if network.link == "sigmoid" and num_scores > 1:
        raise ValueError(
            f"Expected a model with one label per sample. Received: a sigmoid of {num_scores} outputs, which are independent labels. To "
            "use one of them, build a model with only this output."
        )
    if network.link == "softmax" and num_scores == 1:
        raise ValueError("Expected a softmax of two outputs or more. Received: a softmax of one output, which is always 1.")
    return max(num_scores, 2)


def classes_of(y: Any, num_classes: int, num_samples: int | None) -> np.ndarray:
    """The labels in the order of the scores.

    Args:
        y: Labels `(n,)`, or `None` for the indices of the scores.
        num_classes: Expected number of classes.
        num_samples: Number of samples, `None` if unknown.

    Raises:
        ValueError: If `y` is not of shape `(num_samples,)`, or not labels.
    """
    if y is None:
        return np.arange(num_classes)
    y = _checked(y, num_samples)
    labels = np.unique(y)
    if labels.dtype.kind in "iu" and labels[0] >= 0 and labels[-1] < num_classes:
        return np.arange(num_classes)
    if len(labels) != num_classes:
        raise ValueError(
            f"Expected labels of {num_classes} classes, or integers from 0 to {num_classes - 1}. "
            f"Received: {len(labels)} distinct labels, {_listed(labels)}."
        )
    return labels


def places_of(y: Any, classes: np.ndarray, num_samples: int) -> np.ndarray:
    """The indices of labels `(n,)` in `classes`.

    Raises:
        ValueError: If `y` is not of shape `(num_samples,)`, or has a label that is not in `classes`.
    """
    labels, inverse = np.unique(_checked(y, num_samples), return_inverse=True)
    known = {label: place for place, label in enumerate(classes.tolist())}
    others = [label for label in labels.tolist() if label not in known]
    if others:
        raise ValueError(f"Expected labels from {_listed(classes)}. Received also: {_listed(np.array(others))}.")
    return np.array([known[label] for label in labels.tolist()])[inverse]


def _checked(y, num_samples):
    try:
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected `y` to be labels of shape (n,). Received: y={short(y)}. {error}") from error
    if num_samples is not None and len(y) != num_samples:
        raise ValueError(f"Expected `y` to have one label for each of {num_samples} samples. Received: {len(y)} labels.")
    return y


def _listed(labels):
    few = ", ".join(map(repr, labels[:10].tolist()))
    return f"{few}, ..." if len(labels) > 10 else few
