"""How well a simpler model reproduces a network."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """How well a simpler model reproduces a network, measured on some samples.

    Attributes:
        agreement: Share of the samples that both put in the same class.
        difference: Mean over samples and classes of the absolute difference of the probabilities.
        accuracy: Of the simpler model on the labels; `None` without labels.
        auc: Its area under the ROC curve, for more than two classes the mean of each class against the rest; `None` without labels,
            NaN if a class is missing among them.
        known: Share of the samples that are on a region that the model knows; `None` for a model without regions.
    """

    agreement: float
    difference: float
    accuracy: float | None = None
    auc: float | None = None
    known: float | None = None


def compare(probabilities: np.ndarray, network: np.ndarray, y: np.ndarray | None = None) -> Fidelity:
    """Compares probabilities `(n, C)` with the network's, and with class indices `(n,)` if there are any."""
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
