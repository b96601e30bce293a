"""`Fidelity`: how well a simpler model reproduces a network."""

import dataclasses
from typing import Any, final

from keras_xai.results.base import Result


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Fidelity(Result):
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

    def _summary(self) -> str:
        return f"agreement {self.agreement:.4g}, mean difference of probabilities {self.difference:.3g}"

    def _facts(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "AUC": self.auc, "samples on known regions": self.known}
