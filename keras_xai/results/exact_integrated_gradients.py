"""`ExactIntegratedGradients`: exact integrated gradients of one score along a line."""

import dataclasses
from typing import Any, final

from keras_xai.results.base import Result
from keras_xai.results.text import shapes


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ExactIntegratedGradients(Result):
    """Integrated gradients of one score along a line.

    Attributes:
        attribution: Of one input's shape, in the structure of the model's inputs.
        target: The score.
        difference: The score at the end of the line minus that at its start, from the network itself.
        convergence_delta: By how much the sum of the attributions differs from `difference`; rounding error alone.
    """

    attribution: Any
    target: int
    difference: float
    convergence_delta: float

    def _summary(self) -> str:
        shape = shapes(self.attribution, skip=0)
        return f"of score {self.target}, of shape {shape}: sum {self.difference:+.4g}, convergence delta {self.convergence_delta:.1e}"

    def _facts(self) -> dict[str, Any]:
        return {"attribution": self.attribution}
