"""`SampleScores`: a score function bound to its samples."""

import dataclasses
from collections.abc import Callable
from typing import Any, Self, final

import numpy as np


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SampleScores:
    """A score function of all samples at once, such as `lambda scores: [scores[0][1], scores[1][4]]`, and selected samples.

    An explanation of such a target stores it instead of the function, so that slices of the explanation slice the target, and metrics
    evaluate for each sample the score that was explained.

    Args:
        function: Maps the scores `(num_samples, ...)` of all samples to a value for each.
        num_samples: Number of samples that the function takes.
        positions: Integer array `(n,)`: the index of each selected sample among them.
    """

    function: Callable
    num_samples: int
    positions: np.ndarray

    def __getitem__(self, rows: Any) -> Self:
        """The target of selected samples."""
        return dataclasses.replace(self, positions=self.positions[rows])

    def __len__(self) -> int:
        return len(self.positions)

    def __call__(self, scores: Any) -> Any:
        """The return value of the function."""
        return self.function(scores)

    @property
    def __name__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __repr__(self) -> str:
        return f"<SampleScores {self.__name__}: {len(self)} samples>"
