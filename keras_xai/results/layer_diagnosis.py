"""`LayerDiagnosis`: class separation in one layer."""

import dataclasses
from typing import Any, final

import numpy as np

from keras_xai.results.base import Result
from keras_xai.statistics.intervals import Interval, clipped, interval, share


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerDiagnosis(Result):
    """One layer.

    Attributes:
        path: The layer's path.
        depth: The layers with weights up to it, as a part of those of the whole network: from 0 to 1.
        shape: Of its output for one sample.
        vectors: How that became a vector, in words.
        length: Of the vector.
        explained: The part of the vectors' variance that the principal components hold; 1 where all of it was kept, NaN where there is
            none.
        points: `(repeats, n, 2)`, the maps by t-SNE.
        map_influence: `(repeats, n)`: what each sample contributes to the neighborhood hit on each map, which is the mean.
        activation_influence: `(n,)`: the same among the vectors themselves.
        trustworthiness: `(repeats,)`: how far neighbors on the map are neighbors among the vectors, from 0 to 1.
        divergence: `(repeats,)`: the Kullback-Leibler divergence that t-SNE has reached.
        probe: Bool: whether a linear classifier on the components, fitted to other samples, is right about each sample that is not alone in
            its class; empty where there is only one such class.
    """

    path: str
    depth: float
    shape: tuple
    vectors: str
    length: int
    explained: float
    points: np.ndarray
    map_influence: np.ndarray
    activation_influence: np.ndarray
    trustworthiness: np.ndarray
    divergence: np.ndarray
    probe: np.ndarray

    @property
    def neighborhood_hit(self) -> Interval:
        """The mean on the maps, with its 95 % confidence interval."""
        return clipped(interval(self.map_influence))

    @property
    def activation_hit(self) -> Interval:
        """The mean neighborhood hit among the vectors themselves, without t-SNE, with its 95 % confidence interval."""
        return clipped(interval(self.activation_influence))

    @property
    def probe_accuracy(self) -> Interval:
        """The share of samples that the linear classifier is right about, with its 95 % confidence interval."""
        return share(self.probe)

    def _summary(self) -> str:
        return f"of '{self.path}': neighborhood hit {self.neighborhood_hit.mean:.3f}"

    def _facts(self) -> dict[str, Any]:
        return {
            "depth": self.depth,
            "vectors": f"{self.vectors} of {self.length:,} entries",
            "neighborhood hit": within(self.neighborhood_hit),
            "among the activations": within(self.activation_hit),
            "linear probe": within(self.probe_accuracy) if len(self.probe) else None,
            "trustworthiness": self.trustworthiness,
        }


def within(found: Interval) -> str:
    """A mean with its interval, in words."""
    return f"{found.mean:.3f} (95 % interval {found.low:.3f} to {found.high:.3f})"
