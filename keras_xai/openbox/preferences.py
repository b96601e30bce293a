"""Decision features: which coefficients are compared with which."""

from typing import Any

import numpy as np

from keras_xai.graph.score_functions import without_scores


def preferences(scores: np.ndarray, outputs: np.ndarray, target: Any, against: Any) -> tuple[np.ndarray, np.ndarray]:
    """Selects the coefficients to compare, see `LinearPieces.decision_features`.

    Args:
        scores: `(n, C)`.
        outputs: `(n, k)`, class indices of the coefficients.
        target: Class index, or one per sample; `None` for the highest score.
        against: `"all"`, `"runner-up"`, a class index, or one per sample.

    Returns:
        `(n,)`, the position of the preferred class among the outputs, and `(n, k)`, the weights of the classes to compare with.

    Raises:
        ValueError: If a class is not among the outputs of its sample, or there is no runner-up.
    """
    n, k = outputs.shape
    rows = np.arange(n)
    ranked = np.argsort(-np.take_along_axis(scores, outputs, axis=1), axis=1, kind="stable")
    chosen = ranked[:, 0] if target is None else _places(outputs, target)
    if isinstance(against, str) and against == "all":
        others = np.ones((n, k)) / max(k - 1, 1)
        others[rows, chosen] = 0
        return chosen, others
    if isinstance(against, str) and against == "runner-up":
        if k < 2:
            raise ValueError(f"Expected at least two outputs for a runner-up. Received: outputs of shape {outputs.shape}.")
        compared = np.where(ranked[:, 0] == chosen, ranked[:, 1], ranked[:, 0])
    else:
        compared = _places(outputs, against)
    others = np.zeros((n, k))
    others[rows, compared] = 1
    return chosen, others


def preferred(coef: np.ndarray, chosen: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Coefficients `(n, k, ...)` of the preferred class minus the weighted ones of the others, `(n, ...)`."""
    return coef[np.arange(len(coef)), chosen] - np.einsum("nk,nk...->n...", others.astype(coef.dtype), coef)


def _places(outputs, classes):
    classes = np.broadcast_to(np.asarray(without_scores(classes, 2)), (len(outputs),))
    matches = outputs == classes[:, None]
    if not matches.any(axis=1).all():
        raise ValueError(f"Expected classes among the `outputs`, {np.unique(outputs)}. Received: {np.unique(classes)}")
    return matches.argmax(axis=1)
