"""`SampleScores`: a score function that is bound to its samples."""

import dataclasses
from collections.abc import Callable
from typing import Any, Self, final

import numpy as np


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SampleScores:
    """A score function of all samples of a call at once, such as `lambda scores: [scores[0][1], scores[1][4]]`, and some of the samples.

    An explanation of such a target holds it in place of the function, so that part of the explanation has part of the target, and
    metrics ask each sample for the score that was explained.

    Args:
        function: Maps the scores `(num_samples, ...)` of all samples to a value for each.
        num_samples: How many samples the function takes.
        positions: Integer array `(n,)`: the place of each of the samples among those.
    """

    function: Callable
    num_samples: int
    positions: np.ndarray

    def __getitem__(self, rows: Any) -> Self:
        """The target of some of the samples."""
        return dataclasses.replace(self, positions=self.positions[rows])

    def __len__(self) -> int:
        return len(self.positions)

    def __call__(self, scores: Any) -> Any:
        """What the function returns."""
        return self.function(scores)

    @property
    def __name__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __repr__(self) -> str:
        return f"<SampleScores {self.__name__}: {len(self)} samples>"
