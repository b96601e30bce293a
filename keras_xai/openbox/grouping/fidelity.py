"""Fidelity of a surrogate to a network."""

import numpy as np

from keras_xai.results.fidelity import Fidelity


def compare(probabilities: np.ndarray, network: np.ndarray, y: np.ndarray | None = None) -> Fidelity:
    """Compares probabilities `(n, C)` with the network's, and with class indices `(n,)` if given."""
    chosen = probabilities.argmax(axis=1)
    agreement = float(np.mean(chosen == network.argmax(axis=1)))
    difference = float(np.mean(np.abs(probabilities - network)))
    if y is None:
        return Fidelity(agreement, difference)
    return Fidelity(agreement, difference, float(np.mean(chosen == y)), _area(probabilities, y))


def _area(probabilities, y):
    from sklearn.metrics import roc_auc_score

    classes = range(probabilities.shape[1])
    if set(y.tolist()) != set(classes):
        return float("nan")
    of_each = [roc_auc_score(y == c, probabilities[:, c]) for c in (classes if len(classes) > 2 else [1])]
    return float(np.mean(of_each))
