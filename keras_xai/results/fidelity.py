"""`Fidelity`: agreement of a surrogate model with a network."""

import dataclasses
from typing import Any, final

from keras_xai.results.base import Result


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Fidelity(Result):
    """Fidelity of a surrogate model to a network on some samples.

    Attributes:
        agreement: Share of the samples with the same predicted class.
        difference: Mean absolute difference of the probabilities over samples and classes.
        accuracy: Accuracy of the surrogate on the labels; `None` without labels.
        auc: Its area under the ROC curve, for more than two classes the mean of each class against the rest; `None` without labels, NaN if
            a class is missing in them.
        known: Share of the samples in regions known to the surrogate; `None` for a model without regions.
    """

    agreement: float
    difference: float
    accuracy: float | None = None
    auc: float | None = None
    known: float | None = None

    def _summary(self) -> str:
        return f"agreement {self.agreement:.4g}, mean difference of probabilities {self.difference:.3g}"

    def _facts(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "AUC": self.auc, "samples on known regions": self.known}
