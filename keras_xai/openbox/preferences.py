"""Decision features: selection of the coefficients to compare."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from keras_xai.data.checks import real_array
from keras_xai.graph.score_functions import without_scores

Against = Literal["all", "runner-up"] | int | Sequence[int] | np.ndarray


def preferences(scores: np.ndarray, outputs: np.ndarray, target: Any, against: Against) -> tuple[np.ndarray, np.ndarray]:
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
    chosen = ranked[:, 0] if target is None else _places("target", outputs, target)
    if isinstance(against, str) and against == "all":
        others = np.ones((n, k)) / max(k - 1, 1)
        others[rows, chosen] = 0
        return chosen, others
    if isinstance(against, str) and against == "runner-up":
        if k < 2:
            raise ValueError(f"Expected at least two outputs for a runner-up. Received: outputs of shape {outputs.shape}.")
        compared = np.where(ranked[:, 0] == chosen, ranked[:, 1], ranked[:, 0])
    else:
        compared = _places("against", outputs, against)
    others = np.zeros((n, k))
    others[rows, compared] = 1
    return chosen, others


def preferred(coef: np.ndarray, chosen: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Coefficients `(n, k, ...)` of the preferred class minus the weighted ones of the others, `(n, ...)`."""
    return coef[np.arange(len(coef)), chosen] - np.einsum("nk,nk...->n...", others.astype(coef.dtype), coef)


def _places(name, outputs, given):
    classes = real_array(name, without_scores(given, 2), "a class index, or one for each sample")
    if classes.dtype.kind not in "iu" or classes.shape not in ((), (len(outputs),)):
        raise ValueError(
            f"Expected `{name}` to be a class index, or one for each of {len(outputs)} samples. Received: {name}={given!r}"
        )
    matches = outputs == np.broadcast_to(classes, (len(outputs),))[:, None]
    if not matches.any(axis=1).all():
        raise ValueError(
            f"Expected `{name}` to be classes among the `outputs`, {np.unique(outputs)}. Received: {name}={given!r}"
        )
    return matches.argmax(axis=1)
